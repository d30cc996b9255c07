"""What a forecast means for a budget: the period's end, the chance of an overrun, the day the money is gone.

Amounts are estimates and therefore floats, in dollars (or whatever the series counts).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from forecasting.arrays import Floats


@dataclass(frozen=True)
class Outlook:
    """Where a budget stands and where it is going.

    Attributes:
        spent: so far in the period.
        limit: of the period.
        p10, p50, p90: quantiles of the period's total.
        overrun_probability: the chance that the total passes the limit, 0 to 1.
        exhausted_at: when half of all futures have passed the limit; None when they do not within the period.
        exhausted_early, exhausted_late: the same for 10 % and 90 % of all futures: an 80 % interval.
    """

    spent: float
    limit: float
    p10: float
    p50: float
    p90: float
    overrun_probability: float
    exhausted_early: datetime | None
    exhausted_at: datetime | None
    exhausted_late: datetime | None


class Ahead:
    """Possible futures from one moment on to a period's end, added up once and asked often."""

    def __init__(self, paths: Floats, start: datetime, step: timedelta, end: datetime) -> None:
        """Add them up.

        Args:
            paths: possible futures, path x step, from ``start`` on (`Forecast.paths`); they have to reach ``end``.
            start: beginning of the first forecast bucket.
            step: length of a bucket.
            end: of the period; a bucket that crosses it counts in proportion.

        Raises:
            ValueError: the paths end before the period does.
        """
        steps = max((end - start) / step, 0.0)
        if steps > paths.shape[1]:
            raise ValueError("the forecast ends before the period")
        inside = np.clip(steps - np.arange(paths.shape[1]), 0.0, 1.0)
        self._start, self._step = start, step
        self._first = paths[:, 0]
        self._spending = np.cumsum(paths * inside, axis=1)

    def totals(self, spent: float, gone: float = 0.0) -> Floats:
        """The period's total in every future, when ``gone`` of the first bucket (0 to 1) is over."""
        return np.asarray(spent + self._spending[:, -1] - gone * self._first)

    def outlook(self, spent: float, limit: float, gone: float = 0.0) -> Outlook:
        """The outlook of one budget, of which ``spent`` was spent in the period before now."""
        totals = self.totals(spent, gone)
        p10, p50, p90 = (float(value) for value in np.quantile(totals, (0.1, 0.5, 0.9)))
        early, middle, late = _dates(self._crossings(limit - spent, gone), self._start, self._step)
        return Outlook(spent, limit, p10, p50, p90, float((totals > limit).mean()), early, middle, late)

    def _crossings(self, room: float, gone: float) -> Floats:
        """Steps after which each path has used ``room``, linear within a step; infinite for a path that does not."""
        if room < 0:
            return np.full(len(self._spending), gone)
        rooms = room + gone * self._first
        over = self._spending > rooms[:, None]
        first = over.argmax(axis=1)
        paths = np.arange(len(over))
        after = self._spending[paths, first]
        before = np.where(first > 0, self._spending[paths, np.maximum(first - 1, 0)], gone * self._first)
        share = np.divide(rooms - before, after - before, out=np.zeros_like(after), where=after > before)
        steps = np.where(first > 0, first + share, gone + share * (1 - gone))
        return np.asarray(np.where(over[:, -1], steps, np.inf))


def outlook(spent: float, limit: float, paths: Floats, start: datetime, step: timedelta, end: datetime) -> Outlook:
    """The outlook of one budget whose futures (`Ahead`) begin now; ``spent`` is of the period before ``start``.

    Raises:
        ValueError: the paths end before the period does.
    """
    return Ahead(paths, start, step, end).outlook(spent, limit)


def _dates(crossings: Floats, start: datetime, step: timedelta) -> list[datetime | None]:
    quantiles = np.quantile(crossings, (0.1, 0.5, 0.9), method="inverted_cdf")
    return [start + float(steps) * step if np.isfinite(steps) else None for steps in quantiles]


def planned_share(shape: Floats, elapsed: float) -> float:
    """The share of a period's spending that belongs before now, 0 to 1.

    Args:
        shape: what was expected of each bucket of the whole period when it began; a nightly batch is a peak in it.
        elapsed: buckets gone by.
    """
    total = float(shape.sum())
    if total <= 0:
        return min(elapsed / len(shape), 1.0)
    inside = np.clip(elapsed - np.arange(len(shape)), 0.0, 1.0)
    return float((shape * inside).sum()) / total


def burn(spent: float, limit: float, shape: Floats, since: float, until: float) -> float | None:
    """How many times faster than planned the budget was used between two moments of the period.

    1 uses up the budget exactly at the period's end; 2 in half of it. The plan is the budget in the shape of the
    forecast, so the hour of a nightly batch may cost what such an hour costs.

    Args:
        spent: between the two moments.
        limit: of the period.
        shape: see `planned_share`.
        since, until: buckets after the period's beginning.

    Returns:
        None when nothing was planned for that time: any spending is infinitely faster.
    """
    planned = limit * (planned_share(shape, until) - planned_share(shape, since))
    return spent / planned if planned > 0 else None
