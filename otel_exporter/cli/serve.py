"""`tokentide serve`: receive, price, store, until told to stop."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, configured


def _port(meaning: str) -> Any:
    return typer.Option(metavar="PORT", help=meaning)


def serve(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Where to listen for OTLP.")] = None,
    grpc_port: Annotated[int | None, _port("OTLP/gRPC; 0 takes any free port.  [default: 4317]")] = None,
    http_port: Annotated[int | None, _port("OTLP/HTTP; 0 takes any free port.  [default: 4318]")] = None,
    clickhouse_port: Annotated[int | None, _port("ClickHouse's HTTP interface.  [default: 8123]")] = None,
    health_port: Annotated[int | None, _port("/metrics, /healthz, /readyz.  [default: 9464]")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow a HOST that other machines can reach without authentication.")
    ] = False,
) -> None:
    """Receive OTLP, price every call, store it.

    Runs until Ctrl-C or SIGTERM, then stores what it has acknowledged. Enrichment tables are read again when they
    change, and on SIGHUP.
    """
    read = partial(
        configured,
        config,
        data_dir,
        clickhouse_url,
        ("--host", "ingest.grpc.host", host),
        ("--host", "ingest.http.host", host),
        ("--grpc-port", "ingest.grpc.port", grpc_port),
        ("--http-port", "ingest.http.port", http_port),
        ("--clickhouse-port", "clickhouse_http.port", clickhouse_port),
        ("--health-port", "health.port", health_port),
        ("--insecure", "ingest.insecure", insecure or None),
        ("--insecure", "clickhouse_http.insecure", insecure or None),
        ("--insecure", "health.insecure", insecure or None),
    )
    settings = read().settings

    import asyncio

    from otel_exporter import logs
    from otel_exporter.reloading import Written
    from otel_exporter.service import Service

    logs.configure(settings.log.level, settings.log.format)
    asyncio.run(Service(settings, written=Written(config, lambda: read().settings)).run())
