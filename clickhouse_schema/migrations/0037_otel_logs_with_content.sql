-- why: the log records of a time range with their messages put back:
-- SELECT * FROM otel.otel_logs_with_content(since = '2026-11-20 10:00:00', until = '2026-11-20 11:00:00').
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.otel_logs_with_content AS
WITH
    (
        SELECT mapFromArrays(groupArray(name), groupArray(text)) FROM (
            SELECT concat('{', hash, '}') AS name, any(text) AS text FROM otel.genai_content
            WHERE hash IN (
                SELECT arrayJoin(extractAll(value, '\\{([0-9a-f]{32})\\}')) FROM (
        SELECT arrayJoin(arrayPushBack(mapValues(LogAttributes), Body)) AS value FROM otel.otel_logs WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
                ) WHERE startsWith(value, 'once:')
            )
            GROUP BY name
        )
    ) AS texts,
    value -> if(
        startsWith(value, 'once:')
            AND arrayExists(part -> mapContains(texts, part), extractAll(value, '\\{[0-9a-f]{32}\\}')),
        arrayStringConcat(arrayMap(
            part -> if(mapContains(texts, part), texts[part], part),
            extractAll(substring(value, 6), '\\{[0-9a-f]{32}\\}|[^{]+|\\{')
        )),
        value
    ) AS restored
SELECT * REPLACE (
    mapApply((name, value) -> (name, restored(value)), LogAttributes) AS LogAttributes,
    restored(Body) AS Body
)
FROM otel.otel_logs
WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
