-- why: what would have been cheaper, and by how much, on the calls from since to until; the Spend dashboard shows the
-- newest computed_at of each tenant. unknown_calls are the calls nobody can say it of: they are in neither sum.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_advice
(
    computed_at   DateTime64(3, 'UTC'),
    tenant        LowCardinality(String),
    since         DateTime('UTC'),
    until         DateTime('UTC'),
    kind          LowCardinality(String),
    subject       String,
    change        String,
    calls         UInt64,
    actual_usd    Decimal(38, 12),
    would_be_usd  Decimal(38, 12),
    saved_usd     Decimal(38, 12),
    unknown_calls UInt64,
    assumption    String,
    config        String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(computed_at)
ORDER BY (tenant, computed_at, kind, subject)
TTL toDateTime(computed_at) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
