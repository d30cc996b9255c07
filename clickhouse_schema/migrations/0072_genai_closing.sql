-- why: the books. A period that was closed, from where to where, the moment up to which postings are in its statement
-- (cut_at; later ones are adjustments of the next), and the statement's documents as they were written, byte for byte.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_closing
(
    closing_id     String,
    period         LowCardinality(String),
    timezone       LowCardinality(String),
    starts_at      DateTime64(3, 'UTC'),
    ends_at        DateTime64(3, 'UTC'),
    cut_at         DateTime64(3, 'UTC'),
    unfinished     Bool,
    row_count      UInt64,
    calls          Int64,
    cost_usd       Nullable(Decimal(38, 12)),
    csv_sha256     String,
    parquet_sha256 String,
    focus_sha256   String,
    csv            String CODEC(ZSTD(3)),
    parquet        String CODEC(ZSTD(3)),
    focus          String CODEC(ZSTD(3))
)
ENGINE = MergeTree
ORDER BY (starts_at, period)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
