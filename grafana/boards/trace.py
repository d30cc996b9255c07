"""One trace: its calls and its spans."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import rows, trace
from grafana.variables import text

_GIVEN: Final = "${trace_id:singlequote}"
#: Of the newest hours with calls, the newest trace with several calls, else the newest: what an empty field shows.
_NEWEST: Final = """(SELECT max(r.bucket) FROM otel.genai_rollup_hour AS r
    WHERE r.bucket >= toStartOfHour($__fromTime, 'UTC') AND r.bucket <= $__toTime AND r.calls > 0)"""
_INTERESTING: Final = f"""SELECT e.trace_id FROM otel.genai_ledger AS e
    WHERE e.started_at >= {_NEWEST} - INTERVAL 6 HOUR AND e.started_at <= $__toTime AND e.trace_id IN (
      SELECT i.TraceId FROM otel.otel_traces_trace_id_ts AS i
      WHERE i.Start >= {_NEWEST} - INTERVAL 7 HOUR AND i.Start <= $__toTime)
    GROUP BY e.trace_id HAVING sum(e.sign) > 0
    ORDER BY sum(e.sign) > 1 DESC, max(e.started_at) DESC, e.trace_id LIMIT 1"""
_ID: Final = f"""if({_GIVEN} != '', {_GIVEN}, (
    {_INTERESTING}))"""
_CALLS: Final = f"""
WITH (SELECT {_ID}) AS shown
SELECT c.started_at AS time, toString(c.status) AS status, c.model AS model, toFloat64(c.cost_usd) AS cost_usd,
  toFloat64(c.cost_reported_usd) AS reported_usd, toFloat64(c.cost_local_usd) AS local_usd, c.cost_source AS cost_source,
  c.input_tokens AS input_tokens, c.output_tokens AS output_tokens, c.duration_ms AS duration_ms,
  c.attempt AS attempt, c.observations AS observations, arrayStringConcat(c.sources, ', ') AS seen_by,
  c.merged_by AS merged_by, arrayStringConcat(c.issues, ', ') AS issues, c.call_key AS call_key
FROM otel.genai_calls AS c
WHERE c.trace_id = shown AND c.trace_id != ''
ORDER BY time
LIMIT 200"""
#: As the plugin itself asks for a trace (src/data/sqlGenerator.ts), bounded by when the trace was.
_SPANS: Final = f"""
WITH (SELECT {_ID}) AS shown,
  (SELECT min(i.Start) FROM otel.otel_traces_trace_id_ts AS i WHERE i.TraceId = shown) AS trace_start,
  (SELECT max(i.End) + 1 FROM otel.otel_traces_trace_id_ts AS i WHERE i.TraceId = shown) AS trace_end
SELECT t.TraceId AS traceID, t.SpanId AS spanID, t.ParentSpanId AS parentSpanID, t.ServiceName AS serviceName,
  t.SpanName AS operationName, multiply(toUnixTimestamp64Nano(t.Timestamp), 0.000001) AS startTime,
  multiply(t.Duration, 0.000001) AS duration,
  arrayMap(key -> map('key', key, 'value', t.SpanAttributes[key]), mapKeys(t.SpanAttributes)) AS tags,
  arrayMap(key -> map('key', key, 'value', t.ResourceAttributes[key]), mapKeys(t.ResourceAttributes)) AS serviceTags,
  if(t.StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) AS statusCode
FROM otel.otel_traces AS t
WHERE t.TraceId = shown AND t.Timestamp >= trace_start AND t.Timestamp <= trace_end
ORDER BY t.Timestamp
LIMIT 1000"""

BOARD: Final = Board(
    name="trace",
    title="Trace",
    text="One trace: what it cost, call by call, and its spans. Come here from a trace id on the Calls dashboard, or type one. Without one: the newest trace of the time range, one with several calls if there is any.",
    filters=(),
    since="now-30d",
    annotated=False,
    variables=[text("trace_id", "Trace id")],
    panels=[
        rows(
            "Calls",
            "The calls whose best observation is in this trace.",
            _CALLS,
            {
                "time": "dateTimeAsIso",
                "cost_usd": "currencyUSD",
                "reported_usd": "currencyUSD",
                "local_usd": "currencyUSD",
                "input_tokens": "short",
                "output_tokens": "short",
                "duration_ms": "ms",
                "attempt": "short",
                "observations": "short",
            },
            needs=["trace"],
        ),
        trace("Spans", "Every span of the trace, for as long as traces are kept.", _SPANS, needs=["trace"]),
    ],
)
