-- why: who used to send and does not any more, as of a moment: SELECT * FROM otel.genai_silence(now = '...') WHERE times
-- >= 3. A row is an application or a key (kind) that had calls in the 14 days before; usual_gap_hours is the longest it
-- was quiet between two hours with calls (nights and weekends are part of a habit), silent_hours how long it is quiet
-- now, times the one divided by the other. Calls that only an import tells of are no sign of life.
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.genai_silence AS
SELECT
    kind, tenant, name, sum(hour_calls) AS calls, count() AS active_hours, min(bucket) AS first_active,
    max(bucket) + INTERVAL 1 HOUR AS last_active, greatest(max(gap), 1) AS usual_gap_hours,
    greatest(dateDiff('second', last_active, {now:DateTime('UTC')}), 0) / 3600 AS silent_hours,
    silent_hours / usual_gap_hours AS times
FROM (
    SELECT
        kind, tenant, name, bucket, hour_calls,
        dateDiff('hour', lagInFrame(bucket, 1, bucket) OVER (
            PARTITION BY kind, tenant, name ORDER BY bucket ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), bucket) - 1 AS gap
    FROM (
        SELECT who.1 AS kind, toString(row.tenant) AS tenant, who.2 AS name, row.bucket AS bucket, sum(row.calls) AS hour_calls
        FROM otel.genai_rollup_hour AS row
        ARRAY JOIN [
            ('application', toString(row.application)),
            ('key', if(row.api_key_alias != '', toString(row.api_key_alias), toString(row.api_key_hash)))
        ] AS who
        WHERE row.bucket >= {now:DateTime('UTC')} - INTERVAL 14 DAY AND row.bucket <= {now:DateTime('UTC')}
            AND who.2 != '' AND row.application != 'litellm (imported)'
        GROUP BY kind, tenant, name, bucket
        HAVING hour_calls > 0
    )
)
GROUP BY kind, tenant, name
