"""The ClickHouse HTTP interface over the embedded engine: query users read, ingest users insert into `otel_*`."""
