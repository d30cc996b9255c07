-- why: every alert from its first appearance to its end, so that `for` survives a restart and a resolved alert is still
-- re-sent. One row per alert and appearance (active_at); each change writes it again, the newest updated_at stands.
-- state: 'pending', 'firing' or 'resolved'. labels are its identity (fingerprint is their hash), annotations are not.
-- A row whose time cannot be (unset, beyond 2099) has no age: it is kept.
-- rewrites data: no
CREATE TABLE IF NOT EXISTS otel.alert_state
(
    rule         LowCardinality(String),
    rule_group   LowCardinality(String),
    fingerprint  String CODEC(ZSTD(1)),
    tenant       LowCardinality(String),
    severity     LowCardinality(String),
    labels       Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    annotations  Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    state        LowCardinality(String),
    value        Float64 CODEC(ZSTD(1)),
    active_at    DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    fired_at     Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    keep_until   Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    resolved_at  Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    last_sent_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    updated_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(active_at)
ORDER BY (rule, fingerprint, active_at)
TTL toDateTime(
    if(toYear(active_at) BETWEEN 1971 AND 2099, active_at, toDateTime64('2100-01-01 00:00:00', 3, 'UTC'))
) + toIntervalDay(400)
SETTINGS ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
