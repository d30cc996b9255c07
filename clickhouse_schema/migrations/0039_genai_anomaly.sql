-- why: incidents: a stretch of a series outside what was expected, found without looking ahead, with what caused it.
-- An incident is written again while it lasts (same incident_id and started_at; the newest updated_at stands);
-- ended_at is NULL while it lasts. observed, expected, lo and hi are of its worst bucket, in the metric's unit;
-- impact_usd is spend beyond the expected over the whole incident; a contributor's share is of that excess, 0 to 1.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.genai_anomaly
(
    incident_id  String CODEC(ZSTD(1)),
    tenant       LowCardinality(String),
    metric       LowCardinality(String),
    axis         LowCardinality(String),
    value        String CODEC(ZSTD(1)),
    detector     LowCardinality(String),
    started_at   DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    ended_at     Nullable(DateTime('UTC')) CODEC(ZSTD(1)),
    severity     LowCardinality(String),
    score        Float64 CODEC(ZSTD(1)),
    observed     Float64 CODEC(ZSTD(1)),
    expected     Float64 CODEC(ZSTD(1)),
    lo           Float64 CODEC(ZSTD(1)),
    hi           Float64 CODEC(ZSTD(1)),
    impact_usd   Nullable(Float64) CODEC(ZSTD(1)),
    contributors Nested
    (
        axis     LowCardinality(String),
        value    String,
        observed Float64,
        expected Float64,
        share    Float64
    ) CODEC(ZSTD(1)),
    note         String CODEC(ZSTD(1)),
    updated_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant, started_at, incident_id)
TTL started_at + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
