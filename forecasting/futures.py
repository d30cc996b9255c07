"""Possible futures out of a stored forecast: the rows of `genai_forecast` say how far off each step may be and how
errors belong together, so what sums, period ends and dates are read from can be drawn again, without the models.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.frequency import Frequency
from forecasting.profile import DAY as HOURS_A_DAY
from forecasting.profile import over
from forecasting.series import Key

_HOUR: Final = timedelta(hours=1)
#: Coverage of the intervals that are stored.
LEVELS: Final = (0.50, 0.80, 0.95)
#: The standard normal's quantiles at which the stored 50, 80 and 95 % intervals end.
_KNOTS: Final = (0.0, 0.6745, 1.2816, 1.9600)
_FARTHEST: Final = 3.5  # beyond the 95 % interval errors grow on as they did before it
#: Of a forecast that does not say how its errors belong together.
_LASTING, _CARRIED = 0.3, 0.5


@dataclass(frozen=True)
class Stored:
    """The newest forecast of one series.

    Attributes:
        start: beginning of the first bucket.
        middle, high50, high80, high95: one value a step.
        lasting: share of the errors' variance that a whole future has in common.
        carried: correlation of the rest from one step to the next.
    """

    key: Key
    run_id: str
    frequency: Frequency
    start: datetime
    middle: Floats
    high50: Floats
    high80: Floats
    high95: Floats
    lasting: float | None = None
    carried: float | None = None

    @property
    def end(self) -> datetime:
        """How far it reaches."""
        return self.start + len(self.middle) * self.frequency.step

    def hourly(self, week: Floats, now: datetime, end: datetime, count: int) -> Floats:
        """Futures from the beginning of the hour of ``now`` to ``end``, path x hour, all of that hour included.

        Days are divided into hours as the usual ``week`` is.

        Raises:
            ValueError: the forecast ends before ``end``, or begins after ``now``.
        """
        first = now.replace(minute=0, second=0, microsecond=0)
        if self.end < end or self.start > first:
            raise ValueError("the forecast does not reach from now to the period's end")
        fine = self.paths(count) if self.frequency.step == _HOUR else self._divided(week, count)
        return fine[:, (first - self.start) // _HOUR :][:, : max(-((first - end) // _HOUR), 1)]

    def _divided(self, week: Floats, count: int) -> Floats:
        shape = over(week, self.start, len(self.middle) * HOURS_A_DAY).reshape(-1, HOURS_A_DAY)
        whole = shape.sum(axis=1, keepdims=True)
        shares = np.divide(shape, whole, out=np.full_like(shape, 1 / HOURS_A_DAY), where=whole > 0)
        return np.asarray((self.paths(count)[:, :, None] * shares).reshape(count, -1))

    def paths(self, count: int) -> Floats:
        """Futures, path x step, never negative; the same at every call."""
        seed = zlib.crc32(repr((self.key, self.start)).encode())
        normal = normals(
            (count, len(self.middle)),
            _LASTING if self.lasting is None else self.lasting,
            _CARRIED if self.carried is None else self.carried,
            seed,
        )
        return np.asarray(np.maximum(self.middle + np.sign(normal) * self._size(np.abs(normal)), 0.0))

    def _size(self, normal: Floats) -> Floats:
        """How far off: linear between the ends of the intervals, by rank."""
        ends = [np.zeros_like(self.middle), *(high - self.middle for high in (self.high50, self.high80, self.high95))]
        normal = np.minimum(normal, _FARTHEST)
        size = np.zeros_like(normal)
        for low, high, near, far in zip(_KNOTS[:-1], _KNOTS[1:], ends[:-1], ends[1:], strict=True):
            top = _FARTHEST if high == _KNOTS[-1] else high
            size += (np.clip(normal, low, top) - low) / (high - low) * (far - near)
        return size


@lru_cache(maxsize=8)
def normals(shape: tuple[int, int], lasting: float, carried: float, seed: int) -> Floats:
    """Standard normal errors of futures (path x step) that belong together.

    Args:
        shape: paths and steps.
        lasting: share of the variance that all steps of a path have in common.
        carried: correlation of the rest from one step to the next.
        seed: the same one gives the same errors, which nobody may change.
    """
    rng = np.random.default_rng(seed)
    count, steps = shape
    fading = np.empty((count, steps))
    fading[:, 0] = rng.standard_normal(count)
    fresh = rng.standard_normal((count, steps)) * np.sqrt(1 - carried**2)
    for step in range(1, steps):
        fading[:, step] = carried * fading[:, step - 1] + fresh[:, step]
    return np.asarray(np.sqrt(lasting) * rng.standard_normal((count, 1)) + np.sqrt(1 - lasting) * fading)
