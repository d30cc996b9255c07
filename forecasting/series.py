"""Series out of buckets: what was not there is told apart as "no calls" (0) and "no data" (unknown)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.frequency import Frequency

#: A silent bucket is "no data" when at least this share of its twins in other seasons had calls.
_USUALLY_BUSY: Final = 0.5


@dataclass(frozen=True)
class Key:
    """Which series: ``axis`` is "total" (``value`` "") or a column of `genai_calls`; ``metric`` a rollup's measure."""

    tenant: str
    metric: str
    axis: str
    value: str


@dataclass(frozen=True)
class Series:
    """Equally spaced values, the first at ``start`` (UTC). NaN is "no data", 0 is "no calls"."""

    key: Key
    frequency: Frequency
    start: datetime
    values: Floats

    @property
    def end(self) -> datetime:
        """The start of the first bucket after the series: what was known up to then is in it."""
        return self.start + len(self.values) * self.frequency.step

    @property
    def unknown(self) -> int:
        """Buckets without data."""
        return int(np.isnan(self.values).sum())


def missing(busy: NDArray[np.bool_], frequency: Frequency) -> NDArray[np.bool_]:
    """The buckets in which nothing was recorded although something surely happened.

    Args:
        busy: for each bucket whether *anything* of the tenant was recorded in it.
        frequency: its longest season says which buckets are twins (the same hour of the week).

    A silent bucket counts as "no data" when most of its twins in other weeks were busy; then a whole silent run around
    it does, too, as far as the twins are busy. Quiet nights and week-ends stay "no calls". With less than three
    seasons there is nothing to compare with, and silence stays silence.
    """
    season = frequency.seasons[-1]
    if len(busy) < 3 * season:
        return np.zeros(len(busy), dtype=bool)
    place = np.arange(len(busy)) % season
    seen = np.bincount(place, minlength=season)
    share = np.bincount(place, weights=busy, minlength=season)[place] / np.maximum(seen[place] - 1, 1)
    return np.asarray(~busy & (share >= _USUALLY_BUSY))


def filled(values: Floats, frequency: Frequency) -> Floats:
    """``values`` without NaN, for models that need a number everywhere.

    A gap takes what the mean of the same place in the season before and after it says; where neither side has one,
    the nearest known value. Scores never count a filled bucket.
    """
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    if gaps.all():
        return np.zeros_like(values)
    places = np.arange(len(values))
    known = places[~gaps]
    estimate = np.interp(places, known, values[~gaps])
    for period in frequency.seasons:
        estimate = _seasonal(values, estimate, period)
    return np.asarray(np.where(gaps, estimate, values))


def _seasonal(values: Floats, otherwise: Floats, period: int) -> Floats:
    """Each place interpolated along its own place in the season; ``otherwise`` where a place was never seen."""
    rows = -(-len(values) // period)
    grid = np.full(rows * period, np.nan)
    grid[: len(values)] = values
    table = grid.reshape(rows, period)
    result = np.full(rows * period, np.nan)
    result[: len(values)] = otherwise
    filled_table = result.reshape(rows, period)
    row = np.arange(rows)
    for column in range(period):
        known = ~np.isnan(table[:, column])
        if known.any():
            filled_table[:, column] = np.interp(row, row[known], table[known, column])
    return filled_table.ravel()[: len(values)]
