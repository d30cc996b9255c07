"""What a label set spent: hour by hour from the rollup, exact to the last decimal, edges from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.arrays import Floats
from forecasting.labels import condition, parameters

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.budgets import Budget
    from forecasting.periods import Span

HOUR: Final = timedelta(hours=1)
#: History before a period that its shape is learnt from.
BEFORE: Final = timedelta(weeks=8)
_HOURS: Final = """SELECT bucket, sum(cost_usd) AS usd FROM otel.genai_rollup_hour
WHERE tenant = {{tenant:String}} AND bucket >= parseDateTimeBestEffort({{since:String}}, 'UTC')
  AND bucket < parseDateTimeBestEffort({{until:String}}, 'UTC'){narrowed}
GROUP BY bucket ORDER BY bucket"""
_EDGES: Final = """SELECT sum(ifNull(cost_usd, 0) * sign) AS usd FROM otel.genai_ledger
WHERE tenant = {{tenant:String}} AND started_at >= parseDateTimeBestEffort({{since:String}}, 'UTC')
  AND started_at < parseDateTimeBestEffort({{until:String}}, 'UTC'){narrowed}"""


_CALLS: Final = """SELECT started_at, ifNull(cost_usd, 0) * sign AS usd FROM otel.genai_ledger
WHERE tenant = {{tenant:String}} AND started_at >= parseDateTimeBestEffort({{since:String}}, 'UTC')
  AND started_at < parseDateTimeBestEffort({{until:String}}, 'UTC'){narrowed}
ORDER BY started_at"""


@dataclass(frozen=True)
class Spending:
    """What was spent.

    Attributes:
        total: in the period, exact.
        since: beginning of the first of ``hours``.
        hours: dollars an hour, gapless, up to the end of the period; what lies ahead is 0.
    """

    total: Decimal
    since: datetime
    hours: Floats

    def place(self, moment: datetime) -> float:
        """Hours from ``since`` to ``moment``."""
        return (moment - self.since) / HOUR


def spending(store: Store, budget: Budget) -> Spending:
    """What the budget's calls cost, in its period and in the weeks before."""
    inner = _ceiling(budget.span.start), _floor(budget.span.end)
    since, hours, exact = hourly(store, budget)
    first, last = ((edge - since) // HOUR for edge in inner)
    total = sum(exact[first:last], Decimal(0))
    for start, end in _edges(budget.span, inner):
        total += Decimal(_ask(store, _EDGES, budget, start, end)["usd"][0] or 0)
    return Spending(total, since, hours)


def hourly(store: Store, budget: Budget) -> tuple[datetime, Floats, list[Decimal]]:
    """From when on, and dollars an hour, gapless, up to the end of the period: as numbers, and exact."""
    since = _floor(budget.span.start) - BEFORE
    until = _ceiling(budget.span.end)
    rows = _ask(store, _HOURS, budget, since, until)
    hours = np.zeros((until - since) // HOUR)
    places = ((rows["bucket"].dt.epoch("s") - int(since.timestamp())) // 3600).to_numpy()
    hours[places] = rows["usd"].cast(pl.Float64).to_numpy()
    exact = [Decimal(0)] * len(hours)
    for place, usd in zip(places.tolist(), rows["usd"].to_list(), strict=True):
        exact[place] = Decimal(usd)
    return since, hours, exact


def between(store: Store, budget: Budget, since: datetime) -> tuple[list[datetime], list[Decimal]]:
    """When each call began that the ledger holds from ``since`` to the period's end, in order, and what it cost."""
    rows = _ask(store, _CALLS, budget, since, _ceiling(budget.span.end))
    return rows["started_at"].to_list(), [Decimal(usd) for usd in rows["usd"].to_list()]


def _edges(span: Span, inner: tuple[datetime, datetime]) -> list[tuple[datetime, datetime]]:
    """The parts of the period that are no full hours: a zone half an hour off has two."""
    if inner[0] >= inner[1]:
        return [(span.start, span.end)]
    return [(start, end) for start, end in ((span.start, inner[0]), (inner[1], span.end)) if start < end]


def _ask(store: Store, sql: str, budget: Budget, since: datetime, until: datetime) -> pl.DataFrame:
    form = "%Y-%m-%dT%H:%M:%SZ"
    bounds = {"tenant": budget.tenant, "since": since.strftime(form), "until": until.strftime(form)}
    return store.arrow(sql.format(narrowed=condition(budget.labels)), bounds | parameters(budget.labels))


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    return -(-(moment - _floor(moment)) // HOUR) * HOUR + _floor(moment)
