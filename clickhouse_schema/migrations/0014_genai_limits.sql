-- why: budgets and rate limits as spans showed them: the gateway's own counters and the provider's headroom.
-- A resent span says the same again under the same key, so merges drop it; count with FINAL.
-- A row whose time cannot be (unset, beyond 2099) has no age: it is kept.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_limits
(
    observed_at        DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant             LowCardinality(String),
    scope              LowCardinality(String),
    id                 String CODEC(ZSTD(1)),
    alias              String CODEC(ZSTD(1)),
    max_budget_usd     Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    spend_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reset_at           Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    remaining_requests Nullable(Int64) CODEC(ZSTD(1)),
    remaining_tokens   Nullable(Int64) CODEC(ZSTD(1)),
    trace_id           String CODEC(ZSTD(1)),
    span_id            String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (tenant, scope, id, observed_at, trace_id, span_id)
TTL toDateTime(
    if(toYear(observed_at) BETWEEN 1971 AND 2099, observed_at, toDateTime64('2100-01-01 00:00:00', 9, 'UTC'))
) + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
