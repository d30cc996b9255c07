"""The ClickHouse HTTP interface over the embedded engine: read-only for query users, `otel_*` inserts for ingest users."""
