# tokentide serve, as a user without rights, its data in /var/lib/tokentide.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY otel_exporter otel_exporter
COPY processors processors
COPY clickhouse_schema clickhouse_schema
COPY grafana grafana
COPY forecasting forecasting
COPY alerting alerting
COPY deploy/litellm/tokentide_callback.py deploy/litellm/
RUN python -m venv /opt/tokentide \
    && /opt/tokentide/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && /opt/tokentide/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/tokentide /opt/tokentide
RUN useradd --system --uid 10001 --home-dir /var/lib/tokentide --create-home tokentide
USER tokentide
WORKDIR /var/lib/tokentide
ENV PATH=/opt/tokentide/bin:$PATH \
    TOKENTIDE_STORE__DATA_DIR=/var/lib/tokentide/data
VOLUME /var/lib/tokentide
EXPOSE 4317 4318 8123 9464
# Listening beyond the container needs an ingest token: TOKENTIDE_INGEST__TOKEN, or --insecure.
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/readyz', timeout=2)"]
ENTRYPOINT ["tokentide"]
CMD ["serve", "--host", "0.0.0.0"]
