-- why: a gateway's books next to ours (`tokentide compare`): one row per run, dimension, member and UTC day. ours_usd -
-- theirs_usd is the sum of unseen (calls only the gateway has, negative), only_ours, cache_hits, prices, rounding,
-- time_zone (the same call on another day) and attribution (the same call under another team, key or model).
-- imported_usd is the part of ours_usd that nothing but an import of those books told us.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_agreement
(
    compared_at     DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant          LowCardinality(String),
    run_id          String CODEC(ZSTD(1)),
    gateway         LowCardinality(String),
    dimension       LowCardinality(String),
    member          String CODEC(ZSTD(1)),
    day             DateTime64(9, 'UTC') CODEC(ZSTD(1)),
    theirs_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    ours_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    unseen_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    only_ours_usd   Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_hits_usd  Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    prices_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    rounding_usd    Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    time_zone_usd   Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    attribution_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    imported_usd    Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    theirs_calls    Nullable(Int64) CODEC(ZSTD(1)),
    ours_calls      Nullable(Int64) CODEC(ZSTD(1)),
    unseen_calls    Nullable(Int64) CODEC(ZSTD(1)),
    only_ours_calls Nullable(Int64) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(compared_at)
ORDER BY (tenant, run_id, dimension, member, day)
TTL toDateTime(
    if(toYear(compared_at) BETWEEN 1971 AND 2099, compared_at, toDateTime64('2100-01-01 00:00:00', 9, 'UTC'))
) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
