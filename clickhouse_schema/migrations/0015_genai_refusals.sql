-- why: requests that the gateway refused before any provider was called: they cost nothing and are no calls.
-- A resent span says the same again under the same key, so merges drop it; count with FINAL.
-- A row whose time cannot be (unset, beyond 2099) has no age: it is kept.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_refusals
(
    observed_at     DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant          LowCardinality(String),
    reason          LowCardinality(String),
    error_type      LowCardinality(String),
    error_code      LowCardinality(String),
    requested_model LowCardinality(String),
    team            LowCardinality(String),
    team_id         String CODEC(ZSTD(1)),
    user_id         String CODEC(ZSTD(1)),
    api_key_alias   String CODEC(ZSTD(1)),
    api_key_hash    String CODEC(ZSTD(1)),
    application     LowCardinality(String),
    gateway         LowCardinality(String),
    trace_id        String CODEC(ZSTD(1)),
    span_id         String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (tenant, toStartOfHour(observed_at), reason, observed_at, trace_id, span_id)
TTL toDateTime(
    if(toYear(observed_at) BETWEEN 1971 AND 2099, observed_at, toDateTime64('2100-01-01 00:00:00', 9, 'UTC'))
) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
