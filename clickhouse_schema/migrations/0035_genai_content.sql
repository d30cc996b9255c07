-- why: messages that the content policy keeps, each stored once; spans and logs refer to them by hash. A message that
-- is seen again on the same day is written again at most once a process, and merges keep one row with the newest
-- last_seen. The hash covers the tenant.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_content
(
    tenant    LowCardinality(String) CODEC(ZSTD(1)),
    hash      String CODEC(ZSTD(1)),
    text      String CODEC(ZSTD(3)),
    last_seen DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(last_seen)
PARTITION BY toDate(last_seen, 'UTC')
ORDER BY (hash, tenant)
TTL toDateTime(
    if(toYear(last_seen) BETWEEN 1971 AND 2099, last_seen, toDateTime64('2100-01-01 00:00:00', 3, 'UTC'))
) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
