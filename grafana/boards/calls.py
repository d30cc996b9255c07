"""The calls behind a number."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, rows
from grafana.sql import chosen
from grafana.variables import chooser, text

#: How far back the lists look.
_DAYS: Final = 14
_EXTRA: Final = ("user_id", "api_key_alias", "requested_model")


def _where(alias: str) -> str:
    return f"""$__timeFilter({alias}.started_at)
    AND {chosen(alias)}
    AND {chosen(alias, *_EXTRA)}
    AND $__conditionalAll({alias}.session_id = ${{session:singlequote}}, $session)
    AND $__conditionalAll(has({alias}.issues, ${{issue:singlequote}}), $issue)"""


def _listed(order: str) -> str:
    """Entries that were not taken back. Only the 50 that are shown are read whole (ClickHouse's lazy materialisation)."""
    return f"""
SELECT e.started_at AS time, toString(e.status) AS status, e.team AS team, e.user_id AS user_id, e.application AS application,
  e.requested_model AS requested_model, e.model AS model, toFloat64(e.cost_usd) AS cost_usd, e.cost_source AS cost_source,
  e.input_tokens AS input_tokens, e.cache_read_tokens AS cache_read_tokens, e.output_tokens AS output_tokens,
  e.duration_ms AS duration_ms, e.ttft_ms AS ttft_ms, e.error_type AS error_type, e.session_id AS session,
  arrayStringConcat(e.issues, ', ') AS issues, e.trace_id AS trace_id, e.call_key AS call_key
FROM otel.genai_ledger AS e
WHERE e.sign = 1 AND e.started_at >= $__toTime - INTERVAL {_DAYS} DAY AND {_where("e")}
  AND (e.call_key, e.version) NOT IN (
    SELECT n.call_key, n.version FROM otel.genai_ledger AS n
    WHERE $__timeFilter(n.started_at) AND n.started_at >= $__toTime - INTERVAL {_DAYS} DAY AND n.call_key IN (
      SELECT v.call_key FROM otel.genai_reversals AS v
      WHERE $__timeFilter(v.started_at) AND v.started_at >= $__toTime - INTERVAL {_DAYS} DAY
    )
    GROUP BY n.call_key, n.version HAVING sum(n.sign) <= 0
  )
ORDER BY {order.format("e")} DESC
LIMIT 50"""


_UNITS: Final = {
    "time": "dateTimeAsIso",
    "cost_usd": "currencyUSD",
    "input_tokens": "short",
    "cache_read_tokens": "short",
    "output_tokens": "short",
    "duration_ms": "ms",
    "ttft_ms": "ms",
}
_LINKS: Final = {
    "trace_id": ("Trace", address("tokentide-trace", trace_id="${__value.text}")),
    "session": ("The whole conversation", address("tokentide-calls", session="${__value.text}")),
}

BOARD: Final = Board(
    name="calls",
    title="Calls",
    text="The calls behind a number: the newest, the dearest, the slowest of what is chosen, at most 14 days back. `tokentide explain CALL_KEY` says why a call costs what it does.",
    since="now-24h",
    annotated=False,
    variables=[*map(chooser, _EXTRA), text("session", "Session"), text("issue", "Issue")],
    panels=[
        rows(
            "Newest calls",
            "The 50 newest calls of what is chosen.",
            _listed("{0}.started_at"),
            _UNITS,
            height=12,
            links=_LINKS,
        ),
        rows(
            "Dearest calls",
            "The 50 calls with the highest cost.",
            _listed("{0}.cost_usd"),
            _UNITS,
            height=12,
            links=_LINKS,
        ),
        rows(
            "Slowest calls",
            "The 50 calls that took longest.",
            _listed("{0}.duration_ms"),
            _UNITS,
            height=12,
            links=_LINKS,
        ),
    ],
)
