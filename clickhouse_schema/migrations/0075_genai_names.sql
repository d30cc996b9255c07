-- why: names behind the ids of a gateway (teams, keys, users, organisations), as `tokentide import` found them; what
-- each belongs to, so that spending of an id can be told by name. A row says it was imported, and from where (source).
-- The newest row of an id counts (imported_at); read it with FINAL. What no import found for long is forgotten.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_names
(
    imported_at     DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant          LowCardinality(String),
    source          LowCardinality(String),
    kind            LowCardinality(String),
    id              String CODEC(ZSTD(1)),
    name            String CODEC(ZSTD(1)),
    organization_id String CODEC(ZSTD(1)),
    team_id         String CODEC(ZSTD(1)),
    user_id         String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(imported_at)
PARTITION BY toYYYYMM(imported_at)
ORDER BY (tenant, source, kind, id)
TTL toDateTime(
    if(toYear(imported_at) BETWEEN 1971 AND 2099, imported_at, toDateTime64('2100-01-01 00:00:00', 9, 'UTC'))
) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
