"""The shape of a usual week by the hour: what a nightly batch and a week-end do to a budget."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from forecasting.arrays import Floats

WEEK: Final = 168
DAY: Final = 24
#: With so many weeks the largest value of each hour is left out: it may have been an accident.
_ENOUGH: Final = 3
_DAYS: Final = 7


def weekly(hours: Floats, first: datetime) -> Floats:
    """Dollars of each hour of a usual week, Monday 00:00 UTC first; all ones when less than two days are known.

    Args:
        hours: dollars an hour, the last one just over.
        first: beginning of the first of them, a full hour, UTC.
    """
    used = np.flatnonzero(hours > 0)
    if not len(used) or len(hours) - used[0] < 2 * DAY:
        return np.ones(WEEK)
    known = hours[used[0] :]
    place = (_place(first) + used[0] + np.arange(len(known))) % WEEK
    if len(known) < WEEK:
        return np.tile(_mean(known, place % DAY, DAY), 7)
    if len(known) >= _ENOUGH * WEEK:
        return _without_largest(known[-(len(known) // WEEK) * WEEK :], place[-(len(known) // WEEK) * WEEK])
    return _mean(known, place, WEEK)


def fullest_hour(hours: Floats) -> float | None:
    """Dollars of the fullest hour of a day, on the second fullest of the last seven: the fullest may be an accident.

    None when less than these seven days are known, as before the first call.

    Args:
        hours: dollars an hour, the last one just over.
    """
    used = np.flatnonzero(hours > 0)
    if not len(used) or len(hours) - used[0] < _DAYS * DAY:
        return None
    return float(np.sort(hours[-_DAYS * DAY :].reshape(_DAYS, DAY).max(axis=1))[-2])


def over(week: Floats, start: datetime, hours: int) -> Floats:
    """The usual week laid over ``hours`` hours from ``start`` (a full hour) on."""
    return week[(_place(start) + np.arange(hours)) % WEEK]


def _place(moment: datetime) -> int:
    """The hour of the week."""
    return moment.weekday() * DAY + moment.hour


def _mean(values: Floats, place: np.ndarray[tuple[int, ...], np.dtype[np.int64]], length: int) -> Floats:
    seen = np.bincount(place, minlength=length)
    return np.asarray(np.bincount(place, weights=values, minlength=length) / np.maximum(seen, 1))


def _without_largest(values: Floats, first_place: int) -> Floats:
    weeks = np.sort(values.reshape(-1, WEEK), axis=0)[:-1].mean(axis=0)
    return np.asarray(np.roll(weeks, first_place))
