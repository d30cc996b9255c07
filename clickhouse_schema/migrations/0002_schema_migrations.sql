-- why: which of these files this database has seen, and with which content.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.schema_migrations
(
    number     UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
