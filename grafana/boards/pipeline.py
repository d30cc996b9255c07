"""Is the pipeline itself well: what arrives, from whom, how late, what is not known, what was joined."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, lines, number, row, rows
from grafana.sql import chosen, hours, ledger, named

_LAG: Final = "dateDiff('millisecond', e.ended_at, e.posted_at)"


def _counter(metric: str, label: str) -> str:
    """What a counter of ours grew by: from point to point of each series, and its first point from the start of the process.

    A series begins when its labels are first seen, so the ten minutes before the time range tell the old from the new. A
    scraper that does not know when the process started says that it was now; then the first point tells nothing.
    """
    return f"""
SELECT $__timeInterval(at) AS time, if(label = '', 'none', label) AS name, sum(growth) AS grown
FROM (
  SELECT m.TimeUnix AS at, m.Attributes['{label}'] AS label,
    m.Value - lagInFrame(m.Value, 1, if(m.StartTimeUnix < m.TimeUnix, 0, m.Value)) OVER (
      PARTITION BY cityHash64(m.ServiceName, m.ResourceAttributes, m.Attributes, m.StartTimeUnix)
      ORDER BY m.TimeUnix ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS growth
  FROM otel.otel_metrics_sum AS m
  WHERE m.TimeUnix >= $__fromTime - INTERVAL 10 MINUTE AND m.TimeUnix <= $__toTime AND m.MetricName = '{metric}'
)
WHERE at >= $__fromTime
GROUP BY time, name
ORDER BY time, name"""


def _gauge(metric: str) -> str:
    return f"""
SELECT $__timeInterval(m.TimeUnix) AS time, max(m.Value) AS value
FROM otel.otel_metrics_gauge AS m
WHERE $__timeFilter(m.TimeUnix) AND m.MetricName = '{metric}'
GROUP BY time
ORDER BY time"""


_SOURCES: Final = f"""
SELECT arrayJoin(e.sources) AS source, sum(e.sign) AS calls, max(e.started_at) AS last_call,
  dateDiff('second', last_call, $__toTime) AS age, max(e.posted_at) AS last_posted,
  sumIf(e.sign, e.cost_usd IS NULL) AS unpriced, sumIf(e.sign, has(e.issues, 'tokens_unknown')) AS tokens_unknown,
  sumIf(e.sign, e.team = '') AS without_team
{ledger(days=2)}
GROUP BY source
HAVING calls > 0
ORDER BY age DESC"""
_ISSUES: Final = f"""
SELECT arrayJoin(e.issues) AS issue, sum(e.sign) AS calls, uniq(e.model) AS models, any({named("e.model")}) AS for_example,
  max(e.started_at) AS last_seen
{ledger("notEmpty(e.issues)", days=2)}
GROUP BY issue
HAVING calls > 0
ORDER BY calls DESC"""
_JOINS: Final = f"""
SELECT if(e.merged_by = '', 'seen once', toString(e.merged_by)) AS joined_by, e.observations AS observations,
  arrayStringConcat(arraySort(arrayDistinct(e.sources)), ' + ') AS seen_by, sum(e.sign) AS calls
{ledger(days=2)}
GROUP BY joined_by, observations, seen_by
HAVING calls > 0
ORDER BY observations DESC, calls DESC
LIMIT 100"""

#: What senders' own counters say beside what arrived; a sender is an application to the variables.
_COMPARED: Final = f"""FROM otel.genai_completeness(
  since = greatest($__fromTime, $__toTime - INTERVAL 2 DAY), until = $__toTime) AS c
WHERE {chosen("c", "tenant", "model")}
  AND $__conditionalAll({named("c.source")} IN (${{application:singlequote}}), $application)"""
_EXPECTED: Final = f"""
SELECT {named("c.source")} AS sender, c.measure AS measure, c.counted_by AS counted_by, toFloat64(sum(c.expected)) AS expected,
  toFloat64(sum(c.seen)) AS seen, toFloat64(sum(c.missing)) AS missing, seen / nullIf(expected, 0) AS share
{_COMPARED}
GROUP BY sender, measure, counted_by
HAVING expected > 0
ORDER BY share, sender, measure"""
_MISSING: Final = f"""
SELECT c.hour AS time, {named("c.source")} AS sender, toFloat64(sum(c.missing)) AS missing
{_COMPARED}
  AND c.measure IN ('calls', 'failed_calls', 'attempts')
GROUP BY time, sender
ORDER BY time, sender"""
_SILENT: Final = f"""
SELECT s.kind AS kind, s.name AS name, s.last_active AS last_active, s.silent_hours * 3600 AS silent,
  s.usual_gap_hours * 3600 AS longest_pause, s.times AS times, s.calls AS calls
FROM otel.genai_silence(now = $__toTime) AS s
WHERE {chosen("s", "tenant")}
  AND $__conditionalAll(s.kind = 'application' AND {named("s.name")} IN (${{application:singlequote}}), $application)
  AND s.times >= 3 AND s.active_hours >= 10 AND s.last_active >= s.first_active + INTERVAL 7 DAY
ORDER BY calls DESC
LIMIT 100"""

BOARD: Final = Board(
    name="pipeline",
    title="Pipeline health",
    text="At most the last two days of the time range. What arrives, from which source, how late; what is not known about calls and how observations were joined. Tokentide's own metrics are written once a minute while `serve` runs.",
    since="now-24h",
    refresh="1m",
    panels=[
        row("The ledger"),
        number(
            "Calls posted",
            "Calls of the time range in the ledger.",
            f"SELECT sum(e.sign) AS calls {ledger(days=2)}",
            "short",
            width=6,
        ),
        number(
            "Joined from several",
            "Calls that more than one observation describes: without the join they would be charged again.",
            f"SELECT sumIf(e.sign, e.observations > 1) AS joined {ledger(days=2)}",
            "short",
            width=6,
        ),
        number(
            "Without a price",
            "Calls whose cost nobody knows.",
            f"SELECT sum(r.unpriced_calls) AS unpriced {hours()}",
            "short",
            width=6,
            limits=[(1, "orange")],
        ),
        number(
            "Without tokens",
            "Successful calls whose token counts nobody knows.",
            f"SELECT sum(r.unknown_token_calls) AS unknown {hours()}",
            "short",
            width=6,
            limits=[(1, "orange")],
        ),
        rows(
            "Sources",
            "Every dialect seen in the time range, the one that has been silent longest first.",
            _SOURCES,
            {
                "calls": "short",
                "last_call": "dateTimeAsIso",
                "age": "s",
                "last_posted": "dateTimeAsIso",
                "unpriced": "short",
                "tokens_unknown": "short",
                "without_team": "short",
            },
        ),
        lines(
            "Calls by source",
            "Which dialects saw calls; a call seen by two counts in both.",
            f"SELECT $__timeInterval(e.started_at) AS time, arrayJoin(e.sources) AS source, sum(e.sign) AS calls {ledger(days=2)} GROUP BY time, source HAVING calls > 0 ORDER BY time, source",
            "short",
            by="source",
            style="stack",
            step="1m",
        ),
        lines(
            "From the call's end to the ledger",
            "Seconds between the end of a call and its posting. A correction or an import counts from the call's end, too.",
            f"SELECT $__timeInterval(e.posted_at) AS time, quantile(0.5)({_LAG}) AS p50, quantile(0.95)({_LAG}) AS p95, max({_LAG}) AS slowest {ledger('e.sign = 1', days=2)} GROUP BY time ORDER BY time",
            "ms",
            step="1m",
        ),
        row("What is not known"),
        rows(
            "Issues",
            "What could not be known of calls, or disagrees.",
            _ISSUES,
            {"calls": "short", "models": "short", "last_seen": "dateTimeFromNow"},
            width=12,
            needs=["issues"],
            links={"issue": ("Calls", address("tokentide-calls", issue="${__value.text}"))},
        ),
        rows(
            "Unpriced models",
            "Models without a known price. Give them one in the configuration, then `tokentide reprice`.",
            f"SELECT {named('r.model')} AS model, {named('r.provider')} AS provider, sum(r.unpriced_calls) AS unpriced, max(r.bucket) AS last_hour {hours('r.unpriced_calls != 0')} GROUP BY model, provider HAVING unpriced > 0 ORDER BY unpriced DESC LIMIT 100",
            {"unpriced": "short", "last_hour": "dateTimeFromNow"},
            width=12,
            needs=["unpriced"],
        ),
        row("Did everything arrive"),
        rows(
            "Expected and seen",
            "What senders counted themselves, and what of it is in the ledger. Below 100 %: sampled, or lost on the way. How it is known: docs/completeness.md.",
            _EXPECTED,
            {"expected": "short", "seen": "short", "missing": "short", "share": "percentunit"},
            width=12,
            needs=["counters"],
        ),
        lines(
            "Calls that did not arrive",
            "Counted by the sender and not in the ledger, by hour. Below zero: the sender's counter comes later than its calls, or leaves some out.",
            _MISSING,
            "short",
            by="sender",
            style="bars",
            needs=["counters"],
        ),
        rows(
            "Fell silent",
            "Who sent regularly in the two weeks before the end of the time range, and pauses now for three times the longest pause before.",
            _SILENT,
            {
                "last_active": "dateTimeAsIso",
                "silent": "s",
                "longest_pause": "s",
                "times": "short",
                "calls": "short",
            },
            needs=["silence"],
        ),
        row("How calls were joined"),
        rows(
            "Joins",
            "How many observations made one call, by whom they came, and why they are one.",
            _JOINS,
            {"observations": "short", "calls": "short"},
            width=12,
        ),
        lines(
            "Corrections",
            "Entries and reversals by the time they were posted. A reversal takes an entry back when more is learnt of its call.",
            f"SELECT $__timeInterval(e.posted_at) AS time, countIf(e.sign = 1) AS entries, countIf(e.sign = -1) AS reversals {ledger(days=2)} GROUP BY time ORDER BY time",
            "short",
            style="bars",
            step="1m",
        ),
        row("Tokentide's own metrics"),
        lines(
            "Accepted",
            "Spans, log records and metric points that arrived well formed, by signal.",
            _counter("tokentide_received_records_total", "signal"),
            "short",
            by="name",
            style="stack",
            step="1m",
            needs=["self-monitoring"],
        ),
        lines(
            "Stored",
            "Rows written to ClickHouse, by table.",
            _counter("tokentide_stored_rows_total", "table"),
            "short",
            by="name",
            style="stack",
            step="1m",
            needs=["self-monitoring"],
        ),
        lines(
            "Refused",
            "Requests refused for good, by reason. The log names the sender.",
            _counter("tokentide_refused_requests_total", "reason"),
            "short",
            by="name",
            step="1m",
            needs=["self-monitoring"],
        ),
        lines(
            "Asked to retry",
            "Requests answered with `retry later`, by reason. Nothing is lost.",
            _counter("tokentide_retry_later_total", "reason"),
            "short",
            by="name",
            step="1m",
            needs=["self-monitoring"],
        ),
        lines(
            "Spool",
            "Bytes acknowledged and not yet in ClickHouse. Growing: ClickHouse is slow or down.",
            _gauge("tokentide_spool_bytes"),
            "bytes",
            step="1m",
            needs=["self-monitoring"],
        ),
        lines(
            "Dead letters",
            "Rows that ClickHouse would not take, by table.",
            _counter("tokentide_dead_letter_rows_total", "table"),
            "short",
            by="name",
            step="1m",
            needs=["self-monitoring"],
        ),
    ],
)
