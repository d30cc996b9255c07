-- why: the audit trail. Merges of genai_ledger delete an entry together with its reversal; here every reversal stays,
-- with all that the entry it took back said of the call, so that `explain` accounts for every number that ever stood.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_reversals
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant, toStartOfHour(started_at), call_key, posted_at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    default_compression_codec = 'ZSTD(1)'
EMPTY AS SELECT * EXCEPT (handles, said, sign) FROM otel.genai_ledger
