-- why: calls, tokens, money and latency by minute, for live panels: few dimensions, because with all of them a minute
-- has nearly a row per call. Every measure is signed and additive, so a reversal takes back what its entry brought.
-- Durations are whole microseconds (floats do not add up to the same in another order); *_buckets are exponential
-- histograms at scale 3, read them with genai_quantile_ms.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_rollup_minute
(
    bucket DateTime('UTC') CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    team LowCardinality(String) CODEC(ZSTD(1)),
    application LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    model LowCardinality(String) CODEC(ZSTD(1)),
    requested_model LowCardinality(String) CODEC(ZSTD(1)),
    deployment_id LowCardinality(String) CODEC(ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    status Enum8('ok' = 1, 'error' = 2) CODEC(ZSTD(1)),
    error_type LowCardinality(String) CODEC(ZSTD(1)),
    error_code LowCardinality(String) CODEC(ZSTD(1)),
    cache_hit Nullable(Bool) CODEC(ZSTD(1)),
    is_final Nullable(Bool) CODEC(ZSTD(1)),
    calls Int64 CODEC(ZSTD(1)),
    input_tokens Int64 CODEC(ZSTD(1)),
    cache_read_tokens Int64 CODEC(ZSTD(1)),
    cache_write_tokens Int64 CODEC(ZSTD(1)),
    output_tokens Int64 CODEC(ZSTD(1)),
    reasoning_tokens Int64 CODEC(ZSTD(1)),
    cost_usd Decimal(38, 12) CODEC(ZSTD(1)),
    cost_input_usd Decimal(38, 12) CODEC(ZSTD(1)),
    cost_output_usd Decimal(38, 12) CODEC(ZSTD(1)),
    cost_cache_usd Decimal(38, 12) CODEC(ZSTD(1)),
    cost_other_usd Decimal(38, 12) CODEC(ZSTD(1)),
    discount_usd Decimal(38, 12) CODEC(ZSTD(1)),
    margin_usd Decimal(38, 12) CODEC(ZSTD(1)),
    cost_reported_usd Decimal(38, 12) CODEC(ZSTD(1)),
    cost_local_usd Decimal(38, 12) CODEC(ZSTD(1)),
    saved_usd Decimal(38, 12) CODEC(ZSTD(1)),
    unpriced_calls Int64 CODEC(ZSTD(1)),
    unknown_token_calls Int64 CODEC(ZSTD(1)),
    retried_calls Int64 CODEC(ZSTD(1)),
    streaming_calls Int64 CODEC(ZSTD(1)),
    duration_us Int64 CODEC(ZSTD(1)),
    duration_calls Int64 CODEC(ZSTD(1)),
    duration_buckets SimpleAggregateFunction(sumMap, Map(UInt16, Int64)) CODEC(ZSTD(1)),
    ttft_us Int64 CODEC(ZSTD(1)),
    ttft_calls Int64 CODEC(ZSTD(1)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(UInt16, Int64)) CODEC(ZSTD(1)),
    overhead_us Int64 CODEC(ZSTD(1)),
    overhead_calls Int64 CODEC(ZSTD(1)),
    overhead_buckets SimpleAggregateFunction(sumMap, Map(UInt16, Int64)) CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, team, application, provider, model, requested_model, deployment_id, gateway, status, error_type, error_code, cache_hit, is_final)
SETTINGS allow_nullable_key = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
