"""How budgets would have stood at moments of the past: forecasts and outlooks that know nothing later, in one go.

The store is one of its own, into which history was copied: what is foreseen here is written there.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np
import polars as pl

from clickhouse_schema.tables import DERIVED
from forecasting import results, rounds, standing
from forecasting.apart import Apart
from forecasting.arrays import Floats
from forecasting.frequency import HOUR as BY_HOUR
from forecasting.labels import text
from forecasting.spending import HOUR, Spending, between, hourly

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.budgets import Budget
    from forecasting.periods import Span

#: Every budget there was at a moment.
BudgetsAt = Callable[[datetime], list["Budget"]]
#: Forecasts by the hour count for twelve: budgets of a day or two get new ones so often.
_SHORT: Final = timedelta(hours=6)
_DAY: Final = timedelta(days=1)
#: The service writes what is no news again so often.
_REPEATED: Final = timedelta(hours=1)
_PROCESSES: Final = 2


def forecasts(store: Store, budgets: BudgetsAt, since: datetime, until: datetime) -> None:
    """Forecast the budgets' series as each day between these moments would have, in processes of their own."""
    days = list(_steps(since.replace(hour=0, minute=0, second=0, microsecond=0), until, _DAY))
    lots = [days[number::_PROCESSES] for number in range(_PROCESSES)]
    with ThreadPoolExecutor(_PROCESSES) as pool:
        for done in [pool.submit(_forecast, store, budgets, lot, until) for lot in lots if lot]:
            done.result()


def _forecast(store: Store, budgets: BudgetsAt, days: Sequence[datetime], until: datetime) -> None:
    plan = rounds.Plan(axes=(), most=0)
    with Apart(threading.Event()) as apart:
        for day in days:
            known = budgets(day)
            rounds.forecast(store, plan, known, day, apart)
            short = [one for one in known if one.frequency is BY_HOUR]
            for moment in list(_steps(day, min(until, day + _DAY - _SHORT), _SHORT))[1:] if short else ():
                rounds.forecast(store, plan, short, moment, apart)


def outlooks(store: Store, budgets: BudgetsAt, since: datetime, until: datetime, every: timedelta) -> None:
    """Write the outlook of every budget ``every`` so often, where it is news, and once an hour where it is not."""
    record = _Record(store, budgets)
    for day in _steps(since, until, _DAY):
        found = [row for moment in _steps(day, min(day + _DAY - every, until), every) for row in record.rows(moment)]
        if found:
            frame = pl.DataFrame(found, schema=DERIVED[standing.TABLE], orient="row")
            results.write(store, frame, f"{standing.TABLE}/{uuid4()}", standing.TABLE)


def _steps(since: datetime, until: datetime, every: timedelta) -> Iterator[datetime]:
    while since <= until:
        yield since
        since += every


@dataclass(frozen=True)
class _Known:
    """All a budget's calls cost, in memory, to be cut at any moment."""

    since: datetime
    hours: Floats
    exact: Sequence[Decimal]
    starts: Sequence[datetime]
    running: Sequence[Decimal]

    def at(self, budget: Budget, moment: datetime) -> Spending:
        """What was spent up to ``moment``, which is not before the copied calls begin; what came later is 0."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        place = (hour - self.since) // HOUR
        here = self._between(max(hour, budget.span.start), moment)
        first = -((self.since - budget.span.start) // HOUR)
        total = sum(self.exact[first:place], Decimal(0)) + here
        if first * HOUR + self.since != budget.span.start:  # a zone half an hour off
            total += self._between(budget.span.start, min(self.since + first * HOUR, hour))
        hours = np.zeros(len(self.hours))
        hours[:place] = self.hours[:place]
        hours[place : place + 1] = float(here)
        return Spending(total, self.since, hours)

    def _between(self, since: datetime, until: datetime) -> Decimal:
        if since >= until:
            return Decimal(0)
        return self.running[bisect_right(self.starts, until)] - self.running[bisect_left(self.starts, since)]


class _Record:
    """Outlooks one moment after another; keeps what does not change from one to the next."""

    def __init__(self, store: Store, budgets: BudgetsAt) -> None:
        self._store = store
        self._budgets_at = budgets
        self._hour: datetime | None = None
        self._budgets: list[Budget] = []
        self._stored: dict[Any, Any] = {}
        self._known: dict[tuple[str, str, Span], _Known] = {}
        self._views: dict[tuple[str, str], standing.View] = {}
        self._before: dict[tuple[str, str], dict[str, Any]] = {}
        self._complete: datetime | None = None

    def rows(self, moment: datetime) -> list[dict[str, Any]]:
        """What is written at ``moment``."""
        self._look_around(moment)
        everything = self._complete is None or moment - self._complete >= _REPEATED
        if everything:
            self._complete = moment
        stamp = {"as_of": moment, "computed_at": moment}
        return [{**row, **stamp} for one in self._budgets for row in self._row(one, moment, everything)]

    def _look_around(self, moment: datetime) -> None:
        """At the beginning of an hour, and of a period: which budgets there are, and what is foreseen."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        if hour == self._hour and all(moment < one.span.end for one in self._budgets):
            return
        if self._hour is None or hour.hour % 6 == 0:
            self._stored = standing.forecasts(self._store, moment)
        self._hour, self._budgets, self._views = hour, self._budgets_at(moment), {}

    def _row(self, one: Budget, moment: datetime, everything: bool) -> Iterator[dict[str, Any]]:
        spent = self._spending(one).at(one, moment)
        name = (one.tenant, one.name)
        before = self._before.get(name)
        if not everything and name in self._views and before is not None and before["spent_usd"] == spent.total:
            return
        if name not in self._views:
            stored = self._stored.get((one.key, one.frequency.name))
            self._views[name] = standing.view(one, spent, stored, moment)
        row = standing.row(one, spent, self._views[name], moment)
        if everything or standing.changed([row], self._before):
            self._before[name] = row
            yield row

    def _spending(self, one: Budget) -> _Known:
        key = (one.tenant, text(one.labels), one.span)
        if key not in self._known:
            since, hours, exact = hourly(self._store, one)
            starts, costs = between(self._store, one, since)
            running = [Decimal(0), *accumulate(costs)]
            self._known[key] = _Known(since, hours, exact, [at.astimezone(UTC) for at in starts], running)
        return self._known[key]
