"""How good a forecast was: the measures of the M4 competition, and the coverage of its intervals.

Definitions: S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M4 Competition: 100,000 time series and 61 forecasting
methods", International Journal of Forecasting 36(1), 2020, 54-74, and the organisers' code, "Benchmarks and
Evaluation.R" of github.com/Mcompetitions/M4-methods.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from forecasting.arrays import Floats

#: 90 % critical value of the seasonality test.
_CRITICAL: Final = 1.645


def smape(actual: Floats, forecast: Floats) -> float:
    """Symmetric mean absolute percentage error, in percent (0 to 200). 0 against 0 is no error."""
    size = np.abs(actual) + np.abs(forecast)
    share = np.divide(np.abs(actual - forecast), size, out=np.zeros_like(size, dtype=float), where=size > 0)
    return float(200 * share.mean())


def scale(history: Floats, period: int) -> float:
    """The in-sample error of the seasonal naive forecast, MASE's unit. NaN when there is none (constant, too short)."""
    steps = np.abs(history[period:] - history[:-period])
    steps = steps[np.isfinite(steps)]
    mean = float(steps.mean()) if len(steps) else 0.0
    return mean if mean > 0 else float("nan")


def mase(actual: Floats, forecast: Floats, history: Floats, period: int) -> float:
    """Mean absolute scaled error: 1 is as good as the seasonal naive forecast was in sample. NaN without a `scale`."""
    return float(np.abs(actual - forecast).mean() / scale(history, period))


def owa(mean_smape: float, mean_mase: float, reference_smape: float, reference_mase: float) -> float:
    """Overall weighted average: the mean of both errors, averaged over series, each relative to `naive2`'s."""
    return (mean_smape / reference_smape + mean_mase / reference_mase) / 2


def coverage(actual: Floats, lower: Floats, upper: Floats) -> float:
    """The share of what happened that lies inside the interval, its ends included."""
    return float(((actual >= lower) & (actual <= upper)).mean())


def is_seasonal(history: Floats, period: int) -> bool:
    """M4's test: the autocorrelation at ``period`` leaves its 90 % limits. Never with less than three periods."""
    if period < 2 or len(history) < 3 * period:
        return False
    centred = history - history.mean()
    power = float(centred @ centred)
    if power == 0:
        return False
    lags = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, period + 1)]) / power
    limit = _CRITICAL / np.sqrt(len(history)) * np.sqrt(1 + 2 * (lags[:-1] ** 2).sum())
    return bool(abs(lags[-1]) > limit)


def naive2(history: Floats, period: int, horizon: int) -> Floats:
    """M4's reference: the last value, after a seasonal adjustment where `is_seasonal` finds a season.

    The adjustment is the classical multiplicative decomposition (R's ``decompose``).
    """
    if not is_seasonal(history, period):
        return np.full(horizon, history[-1])
    indices = _multiplicative_indices(history, period)
    phase = np.arange(len(history), len(history) + horizon) % period
    return np.asarray(history[-1] / indices[(len(history) - 1) % period] * indices[phase])


def _multiplicative_indices(history: Floats, period: int) -> Floats:
    """One index for each place in the season, from the first value on; their mean is 1."""
    half = period // 2
    weights = np.ones(period) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5]
    trend = np.convolve(history, weights / period, mode="valid")
    inner = history[half : half + len(trend)]
    ratio = np.divide(inner, trend, out=np.ones_like(trend), where=trend != 0)
    place = np.arange(half, half + len(trend)) % period
    indices = np.bincount(place, weights=ratio, minlength=period) / np.bincount(place, minlength=period)
    mean = indices.mean()
    indices = indices / mean if mean else np.ones(period)
    return np.where(indices == 0, 1.0, indices)
