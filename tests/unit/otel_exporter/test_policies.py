"""Row policies of a server: their conditions over what the pipeline really stores, and their SQL."""

from __future__ import annotations

import time
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.assembly import assembled
from otel_exporter.commit import Request
from otel_exporter.config.tree import ContentSettings, Settings, StoreSettings
from otel_exporter.identity import policies
from processors.batch import Signal

NOW = time.time_ns()  # older rows would be gone by retention
TENANTS = ("default", "a", "o'b")
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"hello"}]}]',
}


def everything(tenant: str) -> list[Request]:
    """A call, a log record and a metric point of a tenant, who claims to be another."""
    spans, logs, metrics = ExportTraceServiceRequest(), ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    resources = (spans.resource_spans.add(), logs.resource_logs.add(), metrics.resource_metrics.add())
    for each in resources:
        each.resource.attributes.add(key="tokentide.tenant").value.string_value = "a"
    span = (
        resources[0]
        .scope_spans.add()
        .spans.add(
            name="chat", trace_id=bytes(16), span_id=b"12345678", start_time_unix_nano=NOW, end_time_unix_nano=NOW + 10
        )
    )
    span.trace_id = b"\1" * 16
    for key, value in CALL.items():
        span.attributes.add(key=key).value.string_value = value
    span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 5
    span.attributes.add(key="gen_ai.usage.output_tokens").value.int_value = 5
    resources[1].scope_logs.add().log_records.add(time_unix_nano=NOW).body.string_value = "x"
    resources[2].scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=1, time_unix_nano=NOW)
    bodies = {Signal.TRACES: spans, Signal.LOGS: logs, Signal.METRICS: metrics}
    return [Request(signal, tenant, body.SerializeToString()) for signal, body in bodies.items()]


def test_every_row_is_exactly_one_tenants(tmp_path: Path) -> None:
    """In every table a tenant's role may read, the conditions of all tenants split the rows: none in two or in none.

    The statements are ones that ClickHouse's own parser takes, and the owner keeps seeing everything.
    """
    settings = Settings(store=StoreSettings(data_dir=tmp_path), content=ContentSettings(policy="keep"))
    with assembled(settings) as parts:
        for tenant in TENANTS:
            assert set(parts.commit.commit(everything(tenant)).values()) == {None}
        assert parts.writer.drain(60)
        store = parts.store
        filters = {tenant: policies.filters(store, tenant) for tenant in TENANTS}
        filled = set()
        for table in filters["a"]:
            said = ", ".join(f"countIf({filters[tenant][table]}) AS t{n}" for n, tenant in enumerate(TENANTS))
            row = store.arrow(f"SELECT count() AS n, {said} FROM otel.{table}").row(0)
            assert row[0] == sum(row[1:]) and len(set(row[1:])) == 1, (table, row)
            filled |= {table} if row[0] else set()
        assert {"otel_traces", "otel_logs", "otel_metrics_gauge", "genai_ledger", "genai_content"} <= filled
        sql = [one for tenant in TENANTS for one in policies.statements(store, tenant, "serve")]
        for one in sql:
            assert store.arrow("SELECT formatQuery({q:String}) AS f", {"q": one}).height == 1
        assert any("`tokentide_o'b`" in one for one in sql)
        granted = {one.split()[3] for one in sql if one.startswith("GRANT")}
        assert "otel.genai_calls" in granted and "otel.schema_migrations" not in granted
        owned = {one.split(" ON ")[1].split()[0] for one in sql if one.endswith("TO `serve`")}
        assert owned == {f"otel.{table}" for table in filters["a"]}
