"""One series in, one forecast out: backtest, blend, intervals; honest about a short history."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from forecasting import blend, conformal, scores
from forecasting.arrays import Floats
from forecasting.backtest import Backtest, backtest, origins, said
from forecasting.conformal import Spread
from forecasting.futures import LEVELS
from forecasting.models import Model, Past
from forecasting.models.autoregression import (
    AR,
    AR_CHANGES,
    LOG_AR,
    LOG_AR_CHANGES,
    LOG_AR_DENSE,
    ROOT_AR,
    ROOT_AR_SPARSE,
)
from forecasting.models.naive import RecentMean, SeasonalNaive, SeasonalProfile
from forecasting.models.prophet import ConfiguredProphet
from forecasting.models.statistical import ETS, LOG_MSTL, MSTL, THETA
from forecasting.series import Key, Series, filled

#: The cheap models, asked for every series.
HOUSE: Final[tuple[Model, ...]] = (
    SeasonalNaive(),
    SeasonalNaive(-1, "weekly_naive"),
    AR,
    ROOT_AR,
    ROOT_AR_SPARSE,
    LOG_AR,
    LOG_AR_DENSE,
    LOG_AR_CHANGES,
    AR_CHANGES,
    MSTL,
)
#: By day there is less to learn from: autoregressions overfit (docs/decisions/0004-forecasting.md).
HOUSE_BY_DAY: Final[tuple[Model, ...]] = (
    SeasonalNaive(),
    SeasonalProfile(memory=0.9),
    MSTL,
    LOG_MSTL,
    ETS,
    THETA,
    RecentMean(),
)
PROPHET: Final = ConfiguredProphet()
_FALLBACK: Final[tuple[Model, ...]] = (SeasonalNaive(), RecentMean())


@dataclass(frozen=True)
class Wish:
    """What is to be forecast, and with what.

    Attributes:
        horizon: buckets.
        country: ISO 3166 code of the country whose holidays Prophet should know, "" for none.
        prophet: whether Prophet takes part; it costs seconds a series.
        cap: no value is forecast above it.
    """

    horizon: int
    country: str = ""
    prophet: bool = False
    cap: float | None = None


@dataclass(frozen=True)
class Forecast:
    """What is to come of one series, as it looked at ``start``.

    Attributes:
        start: of the first forecast bucket; nothing from then on was known (`as_of`).
        model: the models with their shares, the largest first: "mstl 0.62 + ar 0.38".
        middle: one value a step; never negative.
        spread: the distribution of the errors; None when history is too short to have made any.
        mase, smape: of the blend in the backtest, None when there was none.
        coverage80, coverage95: of the intervals in the backtest.
        history: buckets the forecast rests on.
        note: why a simpler model had to do, "" when none had to.
    """

    key: Key
    start: datetime
    model: str
    middle: Floats
    spread: Spread | None
    mase: float | None
    smape: float | None
    coverage80: float | None
    coverage95: float | None
    history: int
    note: str
    floor: float = 0.0
    cap: float | None = None

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Lower and upper bound of each step. Without a backtest: from the floor to twice the middle, which says so."""
        width = self.middle if self.spread is None else self.spread.width(level)
        return self._bounded(self.middle - width), self._bounded(self.middle + width)

    def paths(self, count: int = 1000) -> Floats:
        """Possible futures, path x step: what sums, period ends and dates are read from. The same at every call."""
        seed = zlib.crc32(repr((self.key, self.start)).encode())
        if self.spread is None:
            shares = np.random.default_rng(seed).uniform(0.0, 2.0, (count, 1))
            return self._bounded(self.middle * shares)
        return self._bounded(conformal.futures(self.middle, self.spread, count, seed))

    def _bounded(self, values: Floats) -> Floats:
        return np.clip(values, self.floor, self.cap)


def forecast(series: Series, wish: Wish) -> Forecast:
    """Forecast one series.

    Raises:
        ValueError: the series has no value at all.
    """
    if not np.isfinite(series.values).any():
        raise ValueError("nothing is known of this series")
    past = Past(filled(series.values, series.frequency), series.start, series.frequency, wish.country, cap=wish.cap)
    models = candidates(past, wish)
    reach = _reach(past, wish.horizon, models)
    starts = _starts(past, reach, models)
    while starts and len(usable := [model for model in models if model.shortest(past.frequency) <= starts[0]]) < 1:
        starts = starts[1:]
    if not starts:
        return _simple(series, past, wish, "too short to test a forecast on: the last season is repeated")
    test = backtest(past, series.values, usable, starts, reach)
    if not test.names or not np.isfinite(test.actual).any():
        return _simple(series, past, wish, "no model could be tested: the last season is repeated")
    return _tested(series, past, wish, test, models)


def candidates(past: Past, wish: Wish) -> list[Model]:
    """The models to ask."""
    house = HOUSE if past.frequency.period >= 24 else HOUSE_BY_DAY
    return [*house, PROPHET] if wish.prophet else list(house)


def _reach(past: Past, horizon: int, models: Sequence[Model]) -> int:
    """How far ahead history lets forecasts be tested: the horizon, else half of it, and so on, in whole seasons."""
    period = past.frequency.period
    reach = horizon
    while reach > period and not _starts(past, reach, models):
        reach = max(reach // 2 // period, 1) * period
    return reach


def _starts(past: Past, horizon: int, models: Sequence[Model]) -> list[int]:
    """Origins that leave room for as many models as history allows, at least for the simplest."""
    length, frequency = len(past.values), past.frequency
    step = max(frequency.period, horizon // 3 // frequency.period * frequency.period)
    needs = sorted({model.shortest(frequency) for model in models}, reverse=True)
    for shortest in needs:
        # A short history has room for three origins only where they are close together: better than simpler models.
        for apart in (step, max(frequency.period // 6, 1)):
            found = origins(length, horizon, frequency.windows, apart, shortest)
            if len(found) >= min(3, frequency.windows):
                return found
    return origins(length, horizon, frequency.windows, step, needs[-1])


def _tested(series: Series, past: Past, wish: Wish, test: Backtest, models: Sequence[Model]) -> Forecast:
    known = np.isfinite(test.actual).any(axis=1)
    test = Backtest(test.names, test.paths[:, known], test.actual[known])
    earned = dict(zip(test.names, blend.weights(test.errors).tolist(), strict=True))
    middle, shares = _blended(past, wish.horizon, earned, models)
    errors = blend.honest_errors(test)
    return Forecast(
        key=series.key,
        start=series.end,
        model=" + ".join(f"{name} {share:.2f}" for name, share in sorted(shares.items(), key=lambda one: -one[1])),
        middle=middle,
        spread=conformal.reaching(conformal.spread(errors), wish.horizon),
        mase=_finite(float(np.nanmean(np.abs(errors))) / scores.scale(series.values, past.frequency.period)),
        smape=_smape(test.actual, errors),
        coverage80=conformal.coverage(errors, 0.80),
        coverage95=conformal.coverage(errors, 0.95),
        history=len(past.values),
        note=_shortness(test, models, wish.horizon),
        cap=wish.cap,
    )


def _blended(
    past: Past, horizon: int, earned: dict[str, float], models: Sequence[Model]
) -> tuple[Floats, dict[str, float]]:
    """The models' forecasts from today by the shares they earned; one that fails today is left out."""
    paths: dict[str, Floats] = {}
    for model in models:
        if earned.get(model.name, 0.0) > 0:
            try:
                paths[model.name] = said(model, past, horizon)
            except ValueError:
                continue
    if not paths:
        return said(SeasonalNaive(), past, horizon), {"seasonal_naive": 1.0}
    total = sum(earned[name] for name in paths)
    shares = {name: earned[name] / total for name in paths}
    return sum((share * paths[name] for name, share in shares.items()), np.zeros(horizon)), shares


def _simple(series: Series, past: Past, wish: Wish, note: str) -> Forecast:
    model = next(model for model in _FALLBACK if model.shortest(past.frequency) <= len(past.values))
    return Forecast(
        key=series.key,
        start=series.end,
        model=model.name,
        middle=said(model, past, wish.horizon),
        spread=None,
        mase=None,
        smape=None,
        coverage80=None,
        coverage95=None,
        history=len(past.values),
        note=f"{note if model.name == 'seasonal_naive' else 'less than one season: the mean is continued'}",
        cap=wish.cap,
    )


def _shortness(test: Backtest, models: Sequence[Model], horizon: int) -> str:
    origins_tested, reach = test.actual.shape
    if reach < horizon:
        return f"history is short: tested {reach} steps ahead only, at {origins_tested} past moments"
    if "seasonal_naive" in test.names and not set(test.names) - {"seasonal_naive", "weekly_naive", "recent_mean"}:
        return f"history allows simple models only, tested at {origins_tested} past moments"
    return "" if origins_tested > 2 else f"tested at {origins_tested} past moments only"


def _smape(actual: Floats, errors: Floats) -> float | None:
    known = np.isfinite(errors)
    return _finite(scores.smape(actual[known], (actual - errors)[known]))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


__all__ = ["HOUSE", "LEVELS", "Forecast", "Wish", "forecast"]
