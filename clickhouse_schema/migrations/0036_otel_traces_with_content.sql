-- why: the spans of one trace with their messages put back:
-- SELECT * FROM otel.otel_traces_with_content(trace_id = '...'). A message that retention has dropped leaves its
-- reference. The trace is a parameter, so that only its messages are read.
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.otel_traces_with_content AS
WITH
    (
        SELECT mapFromArrays(groupArray(name), groupArray(text)) FROM (
            SELECT concat('{', hash, '}') AS name, any(text) AS text FROM otel.genai_content
            WHERE hash IN (
                SELECT arrayJoin(extractAll(value, '\\{([0-9a-f]{32})\\}')) FROM (
        SELECT arrayJoin(mapValues(SpanAttributes)) AS value FROM otel.otel_traces WHERE TraceId = {trace_id:String}
        UNION ALL
        SELECT arrayJoin(arrayFlatten(arrayMap(event -> mapValues(event), `Events.Attributes`))) AS value FROM otel.otel_traces WHERE TraceId = {trace_id:String}
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
    mapApply((name, value) -> (name, restored(value)), SpanAttributes) AS SpanAttributes,
    arrayMap(event -> mapApply((name, value) -> (name, restored(value)), event), `Events.Attributes`)
        AS `Events.Attributes`
)
FROM otel.otel_traces
WHERE TraceId = {trace_id:String}
