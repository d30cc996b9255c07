-- why: what was foreseen, by series, bucket and the moment it was foreseen (as_of: nothing later was known), so that a
-- past forecast can be scored against what happened. A run repeated for the same as_of replaces its own rows.
-- axis is 'total' (value '') or a column of genai_calls; metric a measure of the rollups; freq 'hour' or 'day'.
-- mase, smape and the coverages are of the backtest of this series, note says why a simpler model had to do.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_forecast
(
    run_id      String CODEC(ZSTD(1)),
    as_of       DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    tenant      LowCardinality(String),
    metric      LowCardinality(String),
    axis        LowCardinality(String),
    value       String CODEC(ZSTD(1)),
    freq        LowCardinality(String),
    bucket      DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    horizon     UInt32 CODEC(ZSTD(1)),
    model       LowCardinality(String),
    yhat        Float64 CODEC(ZSTD(1)),
    lo50        Float64 CODEC(ZSTD(1)),
    hi50        Float64 CODEC(ZSTD(1)),
    lo80        Float64 CODEC(ZSTD(1)),
    hi80        Float64 CODEC(ZSTD(1)),
    lo95        Float64 CODEC(ZSTD(1)),
    hi95        Float64 CODEC(ZSTD(1)),
    mase        Nullable(Float64) CODEC(ZSTD(1)),
    smape       Nullable(Float64) CODEC(ZSTD(1)),
    coverage80  Nullable(Float64) CODEC(ZSTD(1)),
    coverage95  Nullable(Float64) CODEC(ZSTD(1)),
    history     UInt32 CODEC(ZSTD(1)),
    note        String CODEC(ZSTD(1)),
    computed_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (tenant, metric, axis, value, freq, bucket, as_of)
TTL bucket + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
