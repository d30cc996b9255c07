-- why: which values of each dimension were seen on which day, for drop-down menus.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_values_counted
(
    day Date CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    key LowCardinality(String) CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    calls Int64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree
PARTITION BY toYear(day)
ORDER BY (tenant, key, day, value)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
