-- why: when a trace happened, so that a look-up by trace id reads one day and not all (Grafana uses it).
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.otel_traces_trace_id_ts
(
    TraceId String CODEC(ZSTD(1)),
    Start   SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    End     SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(Start, 0, 'UTC')
ORDER BY TraceId
TTL toDateTime(Start) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
