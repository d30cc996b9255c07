"""Budgets for the command line: how each one stands, as `serve` wrote it last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_exporter.asking import asking, table
from otel_exporter.render import Table

if TYPE_CHECKING:
    from otel_exporter.asking import AskIn
    from otel_exporter.config import Settings

#: Of every budget whose period is not over.
_NEWEST: Final = """SELECT tenant, budget, source, labels, owner, period, timezone, period_start, period_end,
    soft_usd, hard_usd, spent_usd, expected_usd, burn_rate, forecast_p10, forecast_p50, forecast_p90,
    overrun_probability, exhausted_at, exhausted_earliest, exhausted_latest, as_of
FROM (SELECT * FROM genai_budget WHERE as_of > now() - toIntervalDay(2)
    ORDER BY as_of DESC, computed_at DESC LIMIT 1 BY tenant, budget)
WHERE period_end > now()
ORDER BY source = 'outlook', ifNull(overrun_probability, -1) DESC, spent_usd / ifNull(hard_usd, soft_usd) DESC,
    tenant, budget"""


def listed(settings: Settings) -> Table:
    """Every budget, those most likely to overrun first."""
    with asking(settings) as ask:
        return newest(ask)


def newest(ask: AskIn) -> Table:
    """The same, asked of an open door."""
    return table(ask, _NEWEST, title="Budgets")


def brief(whole: Table) -> Table:
    """What a person wants to see of the list."""
    return Table.of((_line(dict(zip(whole.columns, row, strict=True))) for row in whole.rows), "Budgets")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    limit = row["hard_usd"] or row["soft_usd"]
    return {
        "budget": row["budget"],
        "period": f"{row['period']} to {_day(row['period_end'])}",
        "source": row["source"],
        "spent_usd": _dollars(row["spent_usd"]),
        "limit_usd": _dollars(limit),
        "p10": _dollars(row["forecast_p10"]),
        "p50": _dollars(row["forecast_p50"]),
        "p90": _dollars(row["forecast_p90"]),
        "overrun": None if row["overrun_probability"] is None else f"{row['overrun_probability']:.0%}",
        "burn_rate": None if row["burn_rate"] is None else round(row["burn_rate"], 2),
        "exhausted": _exhausted(row),
    }


def _exhausted(row: dict[str, Any]) -> str | None:
    if not row["exhausted_at"]:
        return None
    middle, *ends = (row[name] for name in ("exhausted_at", "exhausted_earliest", "exhausted_latest"))
    early, late = (_day(end) if end else "never" for end in ends)
    return _day(middle) if early == late == _day(middle) else f"{_day(middle)} ({early} to {late})"


def _day(moment: str) -> str:
    return moment[:10]


def _dollars(amount: Any) -> float | None:
    return None if amount is None else float(f"{float(amount):.4g}")
