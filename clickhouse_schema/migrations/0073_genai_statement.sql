-- why: the rows of the statements. kind 'usage': calls that started in the period; 'adjustment': what was posted after
-- an earlier period (of_period) was closed. Sums over all rows, plus what no statement has yet, are the ledger's.
-- Rows whose closing_id is not in genai_closing belong to a closing that was interrupted: they do not count.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_statement
(
    closing_id         String CODEC(ZSTD(1)),
    period             LowCardinality(String),
    kind               LowCardinality(String),
    of_period          LowCardinality(String),
    tenant             LowCardinality(String),
    organization       LowCardinality(String),
    cost_center        LowCardinality(String),
    team               LowCardinality(String),
    project            LowCardinality(String),
    provider           LowCardinality(String),
    model              LowCardinality(String),
    calls              Int64,
    errors             Int64,
    unpriced_calls     Int64,
    input_tokens       Nullable(Int64),
    cache_read_tokens  Nullable(Int64),
    cache_write_tokens Nullable(Int64),
    output_tokens      Nullable(Int64),
    reasoning_tokens   Nullable(Int64),
    cost_usd           Nullable(Decimal(38, 12)),
    cost_input_usd     Nullable(Decimal(38, 12)),
    cost_output_usd    Nullable(Decimal(38, 12)),
    cost_cache_usd     Nullable(Decimal(38, 12)),
    cost_other_usd     Nullable(Decimal(38, 12)),
    discount_usd       Nullable(Decimal(38, 12)),
    margin_usd         Nullable(Decimal(38, 12)),
    saved_usd          Nullable(Decimal(38, 12))
)
ENGINE = MergeTree
ORDER BY (period, kind, of_period, tenant, cost_center, team, project, provider, model)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
