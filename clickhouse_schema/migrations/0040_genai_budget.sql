-- why: the outlook of every budget period as it stood at as_of: spent so far, how the period will end, when the money
-- runs out. A period without a limit (soft_usd and hard_usd NULL, source 'outlook') is a plain outlook: the month of a
-- tenant, say. labels are what the budget covers (column of genai_calls -> value; none = everything).
-- source: 'config', 'gateway' (LiteLLM's own limits) or 'outlook'. totals_usd are the period's total at the probabilities
-- in levels (0 to 1); expected_usd is what the shape of the period lets us expect to be spent by as_of when it ends at
-- the limit; burn_rate 1 ends exactly there. exhausted_at is past when it happened, else the median prediction.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_budget
(
    as_of               DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    tenant              LowCardinality(String),
    budget              String CODEC(ZSTD(1)),
    labels              Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    period              LowCardinality(String),
    timezone            LowCardinality(String),
    period_start        DateTime('UTC') CODEC(ZSTD(1)),
    period_end          DateTime('UTC') CODEC(ZSTD(1)),
    soft_usd            Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    hard_usd            Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    owner               LowCardinality(String),
    source              LowCardinality(String),
    spent_usd           Decimal(38, 12) CODEC(ZSTD(1)),
    expected_usd        Nullable(Float64) CODEC(ZSTD(1)),
    burn_rate           Nullable(Float64) CODEC(ZSTD(1)),
    forecast_p10        Nullable(Float64) CODEC(ZSTD(1)),
    forecast_p50        Nullable(Float64) CODEC(ZSTD(1)),
    forecast_p90        Nullable(Float64) CODEC(ZSTD(1)),
    levels              Array(Float64) CODEC(ZSTD(1)),
    totals_usd          Array(Float64) CODEC(ZSTD(1)),
    overrun_probability Nullable(Float64) CODEC(ZSTD(1)),
    exhausted_at        Nullable(DateTime('UTC')) CODEC(ZSTD(1)),
    exhausted_earliest  Nullable(DateTime('UTC')) CODEC(ZSTD(1)),
    exhausted_latest    Nullable(DateTime('UTC')) CODEC(ZSTD(1)),
    run_id              String CODEC(ZSTD(1)),
    computed_at         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(as_of)
ORDER BY (tenant, budget, period_start, as_of)
TTL as_of + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
