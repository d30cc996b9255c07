"""A round of forecasts as a service makes it: everything that has none from this hour or day yet, in small batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from forecasting import results, rollups
from forecasting.apart import Batch
from forecasting.budgets import AXIS
from forecasting.frequency import DAY, FREQUENCIES, HOUR

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.apart import Apart
    from forecasting.budgets import Budget
    from forecasting.rollups import Question
    from forecasting.series import Key, Series

#: Series in a batch: a service that stops waits for none.
_BATCH: Final = 10
#: How far a service forecasts when no budget needs more: rows are kept for each hour it did.
_HORIZONS: Final = {DAY.name: DAY.horizon, HOUR.name: 48}


@dataclass(frozen=True)
class Plan:
    """What is forecast.

    Attributes:
        axes: one series for each value of these, besides those of the budgets.
        most: series of an axis at most, the largest first.
        prophet: so many of the largest series of an axis get Prophet, by day.
        country: whose holidays Prophet knows.
    """

    axes: tuple[str, ...]
    most: int
    prophet: int = 0
    country: str = ""


@dataclass
class Outcome:
    """What a round did, and the series that could not be forecast, with the reason."""

    forecasts: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def forecast(store: Store, plan: Plan, budgets: Sequence[Budget], now: datetime, apart: Apart) -> Outcome:
    """Forecast what has no forecast from this hour (day) yet.

    Raises:
        Stopped: the service stops; what is done is stored.
    """
    outcome = Outcome()
    run_id = str(uuid4())
    for number, batch in enumerate(_batches(store, plan, budgets, now, run_id)):
        answer = apart.ask(batch)
        if answer.rows is not None:
            results.write(store, answer.rows, f"forecast/{run_id}/{number}")
        outcome.forecasts += answer.forecasts
        outcome.failed |= answer.failed
    return outcome


def _batches(store: Store, plan: Plan, budgets: Sequence[Budget], now: datetime, run_id: str) -> Iterator[Batch]:
    for frequency in FREQUENCIES.values():
        horizon = _HORIZONS[frequency.name]
        mine = [one for one in budgets if one.frequency is frequency]
        for axis in plan.axes:
            asked = rollups.question(now, axis, "cost_usd", frequency, plan.most)
            wanted = rollups.keys(store, asked)
            large = set(wanted[: plan.prophet]) if frequency is DAY else set()
            done = results.done(store, asked, horizon)
            found = rollups.series(store, asked, [key for key in wanted if key not in done])
            yield from _cut(asked, run_id, horizon, found, large, plan.country)
        for axis in (rollups.TOTAL, AXIS):
            asked = rollups.Question(frequency.floor(now), axis, "cost_usd", frequency)
            for reach, keys in _needed(mine, axis, asked).items():
                yield from _of_budgets(store, asked, run_id, reach, keys, plan.country)
    for axis in (rollups.TOTAL, AXIS):  # once a day: the shape of its hours, which burn alerts measure against
        asked = rollups.Question(DAY.floor(now), axis, "cost_usd", HOUR)
        long = {one.key: one.labels for one in budgets if one.limit and one.frequency is DAY and one.key.axis == axis}
        yield from _of_budgets(store, asked, run_id, _HORIZONS[HOUR.name], long, plan.country)


def _of_budgets(
    store: Store, asked: Question, run_id: str, reach: int, keys: Mapping[Key, Mapping[str, str]], country: str
) -> Iterator[Batch]:
    done = results.done(store, asked, reach)
    found = _narrowed(store, asked, {key: labels for key, labels in keys.items() if key not in done})
    yield from _cut(asked, run_id, reach, found, set(), country)


def _needed(budgets: Iterable[Budget], axis: str, asked: Question) -> dict[int, dict[Key, Mapping[str, str]]]:
    """How far -> the series that budgets need that far. Budgets over the same share the one that reaches farther."""
    farthest: dict[Key, tuple[int, Mapping[str, str]]] = {}
    for one in budgets:
        if one.key.axis == axis:
            reach = max(one.horizon(asked.as_of), farthest.get(one.key, (0, one.labels))[0])
            farthest[one.key] = reach, one.labels
    needed: dict[int, dict[Key, Mapping[str, str]]] = {}
    for key, (reach, labels) in farthest.items():
        needed.setdefault(reach, {})[key] = labels
    return needed


def _narrowed(store: Store, asked: Question, wanted: Mapping[Key, Mapping[str, str]]) -> Iterator[Series]:
    for key, labels in wanted.items():
        found = rollups.narrowed(store, asked, key, labels)
        if found is not None:
            yield found


def _cut(
    asked: Question, run_id: str, horizon: int, found: Iterator[Series], large: set[Key], country: str
) -> Iterator[Batch]:
    """Batches that are read when the one before is done."""
    while series := list(islice(found, _BATCH)):
        yield Batch(asked, run_id, horizon, series, [one.key in large for one in series], country)
