"""From one model to another: how far it has come, and what it does to cost, speed and errors."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import lines, row, rows
from grafana.sql import ERRORS, TIME, USD, hours, named, quantile_ms
from grafana.variables import one_of, values_of

_TWO: Final = "r.model IN (${old_model:singlequote}, ${new_model:singlequote})"
_NOT_MODEL: Final = ("tenant", "team", "application", "provider")
#: The most used model of the range, and the second.
_FIRST: Final = values_of("model")
_SECOND: Final = _FIRST.replace("LIMIT 1000", "LIMIT 1000 OFFSET 1")


def _over_time(expression: str) -> str:
    return (
        f"SELECT {TIME} AS time, toString(r.model) AS model, {expression} AS value\n"
        f"{hours(_TWO, *_NOT_MODEL)}\nGROUP BY time, model\nORDER BY time, model"
    )


_P95 = f"""
SELECT time, model, {quantile_ms("h", 0.95)} AS p95
FROM (
  SELECT {TIME} AS time, toString(r.model) AS model, sumMap(r.duration_buckets) AS h
  {hours(_TWO, *_NOT_MODEL)}
  GROUP BY time, model
)
WHERE notEmpty(h)
ORDER BY time, model"""
_SIDE_BY_SIDE = f"""
SELECT model, calls, cost_usd, usd_per_call, usd_per_million, input_per_call, output_per_call, error_rate,
  {quantile_ms("d", 0.5)} AS p50, {quantile_ms("d", 0.95)} AS p95, {quantile_ms("t", 0.95)} AS ttft_p95
FROM (
  SELECT toString(r.model) AS model, sum(r.calls) AS calls, {USD} AS cost_usd,
    cost_usd / nullIf(sum(r.calls - r.unpriced_calls), 0) AS usd_per_call,
    1e6 * cost_usd / nullIf(sum(r.input_tokens + r.output_tokens), 0) AS usd_per_million,
    sum(r.input_tokens) / nullIf(sumIf(r.calls, r.status = 'ok'), 0) AS input_per_call,
    sum(r.output_tokens) / nullIf(sumIf(r.calls, r.status = 'ok'), 0) AS output_per_call,
    {ERRORS} / nullIf(calls, 0) AS error_rate, sumMap(r.duration_buckets) AS d, sumMap(r.ttft_buckets) AS t
  {hours(_TWO, *_NOT_MODEL)}
  GROUP BY model
)
WHERE calls > 0
ORDER BY model = ${{new_model:singlequote}}"""
_WHO = f"""
SELECT {named("r.team")} AS team, {named("r.application")} AS application,
  sumIf(r.calls, r.model = ${{old_model:singlequote}}) AS old_calls,
  sumIf(r.calls, r.model = ${{new_model:singlequote}}) AS new_calls, new_calls / nullIf(old_calls + new_calls, 0) AS moved,
  toFloat64(sumIf(r.cost_usd, r.model = ${{old_model:singlequote}})) AS old_usd,
  toFloat64(sumIf(r.cost_usd, r.model = ${{new_model:singlequote}})) AS new_usd
{hours(_TWO, *_NOT_MODEL)}
GROUP BY team, application
HAVING old_calls + new_calls > 0
ORDER BY old_usd DESC
LIMIT 100"""

BOARD: Final = Board(
    name="migration",
    title="Model migration",
    text="An old and a new model side by side: share, cost of a request, latency, errors, and who has not moved yet.",
    filters=_NOT_MODEL,
    variables=[one_of("old_model", "Old model", _FIRST), one_of("new_model", "New model", _SECOND)],
    panels=[
        row("Side by side"),
        rows(
            "Old and new",
            "Both models over the whole time range.",
            _SIDE_BY_SIDE,
            {
                "calls": "short",
                "cost_usd": "currencyUSD",
                "usd_per_call": "currencyUSD",
                "usd_per_million": "currencyUSD",
                "input_per_call": "short",
                "output_per_call": "short",
                "error_rate": "percentunit",
                "p50": "ms",
                "p95": "ms",
                "ttft_p95": "ms",
            },
            height=5,
        ),
        row("Over time"),
        lines(
            "Calls",
            "How the calls move from one model to the other.",
            _over_time("sum(r.calls)"),
            "short",
            by="model",
            style="stack",
        ),
        lines(
            "Cost of a request",
            "Dollars for a call that has a price.",
            _over_time(f"{USD} / nullIf(sum(r.calls - r.unpriced_calls), 0)"),
            "currencyUSD",
            by="model",
        ),
        lines("p95 latency", "95 % of the calls took no longer.", _P95, "ms", by="model"),
        lines(
            "Error rate",
            "Failed calls as a share of all.",
            _over_time(f"{ERRORS} / nullIf(sum(r.calls), 0)"),
            "percentunit",
            by="model",
        ),
        row("Who has moved"),
        rows(
            "By team and application",
            "Share of the calls that already use the new model.",
            _WHO,
            {
                "old_calls": "short",
                "new_calls": "short",
                "moved": "percentunit",
                "old_usd": "currencyUSD",
                "new_usd": "currencyUSD",
            },
            gauges=["moved"],
        ),
    ],
)
