"""Seasonal autoregression: the next value from the last ones and from those one season, two seasons, a week ago.

Least squares with a trace of ridge (Hoerl and Kennard 1970) on chosen lags, continued step by step. On hourly usage it
is the best single model we measured and the cheapest: docs/decisions/0004-forecasting.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.frequency import Frequency
from forecasting.models import Past

_RIDGE: Final = 1e-5
#: Standard deviations of the past beyond which a continuation is taken for an explosion.
_FARTHEST: Final = 5.0
#: Observations a coefficient needs.
_PER_LAG: Final = 3


@dataclass(frozen=True)
class Scale:
    """Where a model works: seasons that multiply are sums in logarithms; the root is between and allows 0."""

    there: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    lowest: float


PLAIN: Final = Scale(lambda values: values, lambda values: values, -np.inf)
ROOT: Final = Scale(np.sqrt, lambda values: np.maximum(values, 0.0) ** 2, 0.0)
LOGARITHM: Final = Scale(np.log, lambda values: np.exp(np.minimum(values, 700.0)), np.nextafter(0.0, 1.0))


def sparse_lags(frequency: Frequency) -> tuple[int, ...]:
    """The last values and those around one, two shortest and one longest season ago."""
    period, longest = frequency.period, frequency.seasons[-1]
    around = {season + shift for season in (period, 2 * period, longest) for shift in (-1, 0, 1)}
    return tuple(sorted({1, 2, 3} | around))


def dense_lags(frequency: Frequency) -> tuple[int, ...]:
    """Every lag of a little more than the shortest season, and those around its multiples up to the longest."""
    period, longest = frequency.period, max(frequency.seasons[-1], 2 * frequency.period)
    around = {season + shift for season in range(2 * period, longest + 1, period) for shift in (-2, -1, 0, 1, 2)}
    return tuple(sorted(set(range(1, period + 3)) | around))


@dataclass(frozen=True)
class Autoregression:
    """A seasonal autoregression.

    Attributes:
        name: see `Model`.
        lags: which past values count.
        scale: see `Scale`; a past that has no place on it is refused.
        differenced: whether changes from one shortest season to the next are continued instead of values.
    """

    name: str
    lags: Callable[[Frequency], tuple[int, ...]]
    scale: Scale = PLAIN
    differenced: bool = False

    def shortest(self, frequency: Frequency) -> int:
        """Enough for every coefficient."""
        lags = self.lags(frequency)
        return max(lags) + _PER_LAG * len(lags) + (frequency.period if self.differenced else 0)

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The middle."""
        if past.values.min() < self.scale.lowest:
            raise ValueError("values off the scale")
        values = self.scale.there(past.values)
        mean, deviation = float(values.mean()), float(values.std())
        if deviation == 0:
            return np.full(horizon, past.values[-1])
        season = past.frequency.period if self.differenced else 0
        standard = _continued((values - mean) / deviation, self.lags(past.frequency), horizon, season)
        return self.scale.back(np.clip(standard, -_FARTHEST, _FARTHEST) * deviation + mean)


def _continued(values: Floats, lags: tuple[int, ...], horizon: int, season: int) -> Floats:
    if not season:
        return _recursion(values, _coefficients(values, lags), lags, horizon)
    changes = values[season:] - values[:-season]
    path = np.concatenate([values[-season:], _recursion(changes, _coefficients(changes, lags), lags, horizon)])
    for step in range(horizon):
        path[season + step] += path[step]
    return path[season:]


def _coefficients(values: Floats, lags: tuple[int, ...]) -> Floats:
    """Least squares: one coefficient per lag, then the constant."""
    longest, count = max(lags), len(values)
    columns = [values[longest - lag : count - lag] for lag in lags]
    design = np.column_stack([*columns, np.ones(count - longest)])
    normal = design.T @ design
    inner = np.arange(len(lags))
    normal[inner, inner] += _RIDGE * max(float(np.trace(normal[:-1, :-1])) / len(lags), 1e-12)
    try:
        return np.asarray(np.linalg.solve(normal, design.T @ values[longest:]))
    except np.linalg.LinAlgError as singular:
        raise ValueError("no unique autoregression") from singular


def _recursion(values: Floats, coefficients: Floats, lags: tuple[int, ...], horizon: int) -> Floats:
    longest = max(lags)
    path = np.concatenate([values[-longest:], np.zeros(horizon)])
    back, weights, constant = np.array(lags), coefficients[:-1], coefficients[-1]
    for step in range(longest, longest + horizon):
        path[step] = np.clip(weights @ path[step - back] + constant, -2 * _FARTHEST, 2 * _FARTHEST)
    return path[longest:]


AR: Final = Autoregression("ar", sparse_lags)
ROOT_AR: Final = Autoregression("root_ar", dense_lags, ROOT)
LOG_AR: Final = Autoregression("log_ar", sparse_lags, LOGARITHM)
ROOT_AR_SPARSE: Final = Autoregression("root_ar_sparse", sparse_lags, ROOT)
LOG_AR_DENSE: Final = Autoregression("log_ar_dense", dense_lags, LOGARITHM)
LOG_AR_CHANGES: Final = Autoregression("log_ar_changes", sparse_lags, LOGARITHM, differenced=True)
AR_CHANGES: Final = Autoregression("ar_changes", sparse_lags, differenced=True)
