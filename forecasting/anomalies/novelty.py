"""How far a value lies outside everything its series has done so far: the score at t depends on nothing after t.

A series is seen through a few *traits*: the value itself, its distance from what the same time of day was in the last
week, its lowest value in hours. Each trait keeps the highest and lowest it has been (its *record*); the score is how
far it goes beyond the record, as a share of the record's range. Heavy tails need no model this way: a series that
often spikes has a wide record. Records fade, so that one great spike does not blind the watch for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecasting.arrays import Floats

#: Days over which a record fades half-way to the usual level.
FADE_DAYS: Final = 56
#: Days whose same time of day says what to expect.
SEASON_DAYS: Final = 7
#: The quantile of an hour that says what it is like on busy days.
BUSY: Final = 0.75
#: Rows before the first score: there is no record without some past.
WARM_UP: Final = 30
#: The score from which a row is an anomaly.
THRESHOLD: Final = 0.14
#: How many times the usual spread a value can be beyond it: more says no more.
_MOST_TIMES: Final = 1e12


@dataclass(frozen=True)
class Trait:
    """One way to see a series.

    Attributes:
        name: says which.
        weight: factor of its score: how much going beyond this record matters.
        see: (values, expected, rows a day) to the trait, rows are series, columns time.
    """

    name: str
    weight: float
    see: Callable[[Floats, Floats, int], Floats]


@dataclass(frozen=True)
class Novelty:
    """What was found, every array shaped like the values.

    Attributes:
        score: how far beyond the record, in ranges of the record, weighted; 0 is within it.
        reach: the same for the value alone: 1 is twice as far from the lowest as ever before.
        expected: median of the same time of day in the last week; NaN when there was none.
        busy: the upper quartile of the same: what the hour is like on working days, also right after a week-end.
        low, high: outside of these a value would have been an anomaly.
    """

    score: Floats
    reach: Floats
    expected: Floats
    busy: Floats
    low: Floats
    high: Floats


def expectations(values: Floats, per_day: int, levels: Sequence[float] = (0.5,)) -> list[Floats]:
    """Quantiles of the same time of day, give or take ten minutes, in the days before; NaN without any."""
    near = per_day // 144
    backs = [day * per_day + shift for day in range(1, SEASON_DAYS + 1) for shift in range(-near, near + 1)]
    past = np.full((len(backs), *values.shape), np.nan)
    for place, back in enumerate(backs):
        if 0 < back < values.shape[-1]:
            past[place, ..., back:] = values[..., :-back]
    count = np.sum(~np.isnan(past), axis=0)
    past.sort(axis=0)  # NaN come last
    return [_quantile(past, count, level) for level in levels]


def _quantile(ordered: Floats, count: NDArray[np.int64], level: float) -> Floats:
    """Along the first axis, of the first ``count``, linear between two values; NaN where nothing is."""
    place = level * np.maximum(count - 1, 0)
    below = place.astype(np.int64)
    low = np.take_along_axis(ordered, below[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(below + 1, np.maximum(count - 1, 0))[None], axis=0)[0]
    return np.asarray(np.where(count > 0, low + (high - low) * (place - below), np.nan))


def _windows(values: Floats, rows: int) -> Floats:
    """The last ``rows`` values up to each place, as a last axis; NaN before the start."""
    padding = np.full((*values.shape[:-1], rows - 1), np.nan)
    return sliding_window_view(np.concatenate([padding, values], axis=-1), rows, axis=-1)


def _mean(values: Floats, rows: int) -> Floats:
    window = _windows(values, rows)
    known = np.sum(~np.isnan(window), axis=-1)
    return np.asarray(np.where(known > 0, np.nansum(window, axis=-1) / np.maximum(known, 1), np.nan))


def _residual(values: Floats, expected: Floats, per_day: int) -> Floats:
    """Over an hour: one odd row is not yet another time of day."""
    return _mean(values - expected, max(1, per_day // 24))


def _floor(values: Floats, expected: Floats, per_day: int) -> Floats:
    """The lowest value of hours: a series that usually comes to rest and now does not."""
    return np.asarray(np.fmin.reduce(_windows(values, max(3, per_day // 6)), axis=-1))


TRAITS: Final = (
    Trait("value", 1.5, lambda values, expected, per_day: values),
    Trait("residual", 1.0, _residual),
    Trait("floor", 0.25, _floor),
)


@dataclass(frozen=True)
class _Beyond:
    """A trait against its record before each row: how far beyond, and where the record would be left."""

    score: Floats
    low: Floats
    high: Floats


def _beyond(seen: Floats, fade_rows: float, margin: Floats) -> _Beyond:
    """One pass over time for all traits and series at once; NaN neither scores nor enters the record.

    ``margin`` is by trait, the first axis of ``seen``.
    """
    top, bottom, centre = (np.full(seen.shape[:-1], np.nan) for _ in range(3))
    score, low, high = np.zeros(seen.shape), np.full(seen.shape, np.nan), np.full(seen.shape, np.nan)
    keep = 0.5 ** (1 / fade_rows)
    for place in range(seen.shape[-1]):
        now = seen[..., place]
        spread = top - bottom
        low[..., place], high[..., place] = bottom - margin * spread, top + margin * spread
        if place >= WARM_UP:
            beyond = np.fmax(now - top, bottom - now)
            with np.errstate(over="ignore"):
                times = np.minimum(beyond / np.where(spread > 0, spread, 1), _MOST_TIMES)
            score[..., place] = np.where((spread > 0) & (beyond > 0), times, 0)
        centre = np.where(np.isnan(centre), now, centre + _known(now - centre) * max(1 / fade_rows, 1 / (place + 1)))
        top = np.fmax(now, centre + (top - centre) * keep)
        bottom = np.fmin(now, centre + (bottom - centre) * keep)
    return _Beyond(score, low, high)


def _known(values: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(values), 0.0, values))


def novelty(values: Floats, per_day: int, threshold: float = THRESHOLD) -> Novelty:
    """Score series; the last axis is time, equally spaced, ``per_day`` rows a day. NaN is "not known"."""
    values = np.asarray(values, dtype=np.float64)
    expected, busy = expectations(values, per_day, (0.5, BUSY))
    weight = np.array([trait.weight for trait in TRAITS]).reshape(-1, *(1 for _ in values.shape))
    seen = np.stack([trait.see(values, expected, per_day) for trait in TRAITS])
    against = _beyond(seen, FADE_DAYS * per_day, threshold / weight[..., 0])
    names = [trait.name for trait in TRAITS]
    value, residual = names.index("value"), names.index("residual")
    return Novelty(
        score=np.where(np.isnan(values), 0.0, np.max(weight * against.score, axis=0)),
        reach=against.score[value],
        expected=expected,
        busy=busy,
        low=np.fmax(against.low[value], expected + against.low[residual]),
        high=np.fmin(against.high[value], expected + against.high[residual]),
    )


def first_of_each(score: Floats, rows: int) -> Floats:
    """Scores that exceed all of the ``rows`` before; 0 elsewhere: an incident is told once, again only if it grows."""
    past = np.fmax.reduce(_windows(score, rows + 1)[..., :-1], axis=-1)
    return np.asarray(np.where(score > np.nan_to_num(past), score, 0.0))
