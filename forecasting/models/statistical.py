"""Exponential smoothing, Theta and seasonal-trend decomposition, from `statsforecast`.

MSTL: Bandara, Hyndman, Bergmeir, "MSTL: a seasonal-trend decomposition algorithm for time series with multiple seasonal
patterns", arXiv 2107.13462. Theta: Fiorucci et al., International Journal of Forecasting 32(4), 2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.frequency import Frequency
from forecasting.models import Past

#: Trend and low-pass smoothers are evaluated at every so many buckets and interpolated between: ten times faster than
#: at each, the forecasts differ by less than 0.1 % (docs/decisions/0004-forecasting.md).
_JUMP: Final = 24


@dataclass(frozen=True)
class Statistical:
    """A model of `statsforecast`.

    Attributes:
        name: see `Model`.
        make: the model for the seasons it is to use.
        seasons: how many of the frequency's seasons it takes, the shortest first.
        in_logarithms: whether it works on logarithms, so that its seasons multiply. Not where there is a 0.
    """

    name: str
    make: Callable[[tuple[int, ...]], Any]
    seasons: int = 1
    in_logarithms: bool = False

    def shortest(self, frequency: Frequency) -> int:
        """Two of its longest seasons and a little."""
        return 2 * self._seasons(frequency)[-1] + frequency.period // 2

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The middle."""
        if self.in_logarithms and past.values.min() <= 0:
            raise ValueError("no logarithm")
        values = np.log(past.values) if self.in_logarithms else past.values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optimisers that overflow on the way
            try:
                path = self.make(self._seasons(past.frequency)).forecast(y=values, h=horizon)["mean"]
            except (ZeroDivisionError, np.linalg.LinAlgError) as failed:
                raise ValueError(f"{self.name} could not be fitted") from failed
        path = np.asarray(path, dtype=np.float64)
        return np.exp(np.minimum(path, values.max() + 2)) if self.in_logarithms else path

    def _seasons(self, frequency: Frequency) -> tuple[int, ...]:
        return frequency.seasons[: self.seasons]


def _mstl(seasons: tuple[int, ...]) -> Any:
    """By hour the level is smoothed without a trend: fifteen times faster, and blended it costs 0.003 of OWA."""
    from statsforecast.models import MSTL, AutoETS

    if seasons[0] < _JUMP:
        return MSTL(season_length=list(seasons), trend_forecaster=AutoETS(model="ZZN"))
    smoothing = {"trend_jump": _JUMP, "low_pass_jump": _JUMP}
    return MSTL(season_length=list(seasons), trend_forecaster=AutoETS(model="ANN"), stl_kwargs=smoothing)


def _theta(seasons: tuple[int, ...]) -> Any:
    from statsforecast.models import DynamicOptimizedTheta

    return DynamicOptimizedTheta(season_length=seasons[0])


def _ets(seasons: tuple[int, ...]) -> Any:
    from statsforecast.models import AutoETS

    return AutoETS(season_length=seasons[0], model="ANA")


MSTL: Final = Statistical("mstl", _mstl, seasons=2)
LOG_MSTL: Final = Statistical("log_mstl", _mstl, seasons=2, in_logarithms=True)
THETA: Final = Statistical("theta", _theta)
ETS: Final = Statistical("ets", _ets)
