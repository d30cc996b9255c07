"""The calls behind a number."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, rows
from grafana.sql import chosen
from grafana.variables import chooser, text

_EXTRA: Final = ("user_id", "api_key_alias", "requested_model")


def _where(alias: str) -> str:
    return f"""$__timeFilter({alias}.started_at)
    AND {chosen(alias)}
    AND {chosen(alias, *_EXTRA)}
    AND $__conditionalAll({alias}.session_id = ${{session:singlequote}}, $session)
    AND $__conditionalAll(has({alias}.issues, ${{issue:singlequote}}), $issue)"""


def _listed(order: str) -> str:
    """Which calls is decided on entries, cheap over any range; the few that are shown are read as they stand now."""
    return f"""
WITH picked AS (
  SELECT e.call_key AS call_key, e.started_at AS started_at
  FROM otel.genai_ledger AS e
  WHERE e.sign = 1 AND e.started_at >= $__toTime - INTERVAL 31 DAY AND {_where("e")}
  ORDER BY {order.format("e")} DESC
  LIMIT 200
)
SELECT c.started_at AS time, toString(c.status) AS status, c.team AS team, c.user_id AS user_id, c.application AS application,
  c.requested_model AS requested_model, c.model AS model, toFloat64(c.cost_usd) AS cost_usd, c.cost_source AS cost_source,
  c.input_tokens AS input_tokens, c.cache_read_tokens AS cache_read_tokens, c.output_tokens AS output_tokens,
  c.duration_ms AS duration_ms, c.ttft_ms AS ttft_ms, c.error_type AS error_type, c.session_id AS session,
  arrayStringConcat(c.issues, ', ') AS issues, c.trace_id AS trace_id, c.call_key AS call_key
FROM otel.genai_calls AS c
WHERE c.started_at >= (SELECT min(started_at) FROM picked) AND c.started_at <= (SELECT max(started_at) FROM picked)
  AND c.call_key IN (SELECT call_key FROM picked) AND {_where("c")}
ORDER BY {order.format("c")} DESC
LIMIT 200"""


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
    text="The calls behind a number: the newest, the dearest, the slowest of what is chosen, at most 31 days back. `tokentide explain CALL_KEY` says why a call costs what it does.",
    since="now-24h",
    annotated=False,
    variables=[*map(chooser, _EXTRA), text("session", "Session"), text("issue", "Issue")],
    panels=[
        rows(
            "Newest calls",
            "The 200 newest calls of what is chosen.",
            _listed("{0}.started_at"),
            _UNITS,
            height=12,
            links=_LINKS,
        ),
        rows(
            "Dearest calls",
            "The 200 calls with the highest cost.",
            _listed("{0}.cost_usd"),
            _UNITS,
            height=12,
            links=_LINKS,
        ),
        rows(
            "Slowest calls",
            "The 200 calls that took longest.",
            _listed("{0}.duration_ms"),
            _UNITS,
            height=12,
            links=_LINKS,
        ),
    ],
)
