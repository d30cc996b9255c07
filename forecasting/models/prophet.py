"""Prophet, with its defaults (for comparison) and as we configure it.

Taylor and Letham, "Forecasting at scale", The American Statistician 72(1), 2018. Only its middle is used: its own
intervals know the trend's uncertainty alone, ours come from the backtest.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.frequency import Frequency
from forecasting.models import Past

#: Fourier pairs: enough for office hours, a nightly batch and week-ends, see docs/decisions/0004-forecasting.md.
_DAILY_ORDER: Final = 10
_WEEKLY_ORDER: Final = {"hour": 20, "day": 3}
_YEARLY_ORDER: Final = 6
#: A yearly season is fitted from two years on, and a monthly one never: it is not one of Prophet's.
_TWO_YEARS: Final = timedelta(days=730)
_CHATTY: Final = ("prophet", "prophet.plot", "prophet.models", "cmdstanpy")


@dataclass(frozen=True)
class DefaultProphet:
    """Prophet as it comes."""

    name: str = "prophet_default"

    def shortest(self, frequency: Frequency) -> int:
        """Two of the longest seasons."""
        return 2 * frequency.seasons[-1]

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The middle."""
        return _continued(_prophet(), past, horizon)[len(past.values) :]


@dataclass(frozen=True)
class ConfiguredProphet:
    """Prophet for usage: seasons of the frequency, changepoints until today, holidays, moved to the last level.

    With a ``cap`` in the past, growth is logistic between floor and cap.
    """

    name: str = "prophet"

    def shortest(self, frequency: Frequency) -> int:
        """Two of the longest seasons."""
        return 2 * frequency.seasons[-1]

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The middle, corrected by what the fit missed in the last season."""
        path = _continued(_configured(past), past, horizon)
        known = len(past.values)
        missed = (past.values - path[:known])[-past.frequency.period :].mean()
        return np.asarray(path[known:] + missed)


def _configured(past: Past) -> Any:
    model = _prophet(
        growth="linear" if past.cap is None else "logistic",
        yearly_seasonality=False,
        weekly_seasonality=False,
        daily_seasonality=False,
        changepoint_range=0.95,
        changepoint_prior_scale=0.05,
    )
    model.add_seasonality("weekly", period=7, fourier_order=_WEEKLY_ORDER[past.frequency.name])
    if past.frequency.step < timedelta(days=1):
        model.add_seasonality("daily", period=1, fourier_order=_DAILY_ORDER)
    if len(past.values) * past.frequency.step >= _TWO_YEARS:
        model.add_seasonality("yearly", period=365.25, fourier_order=_YEARLY_ORDER)
    if past.country:
        model.add_country_holidays(past.country)
    return model


def _prophet(**options: Any) -> Any:
    for name in _CHATTY:
        logging.getLogger(name).disabled = True  # a level would be set again by cmdstanpy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at import: of the packages it is made of
        from prophet import Prophet
    return Prophet(uncertainty_samples=0, **options)


def _continued(model: Any, past: Past, horizon: int) -> Floats:
    """Fitted values, then the forecast."""
    import pandas as pd

    known = len(past.values)
    frame = pd.DataFrame({"ds": _moments(past, known + horizon)})
    if past.cap is not None:
        frame = frame.assign(cap=past.cap, floor=past.floor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas deprecations inside Prophet
        try:
            model.fit(frame.iloc[:known].assign(y=past.values))
        except RuntimeError as failed:  # Stan's optimiser did not end
            raise ValueError("Prophet could not be fitted") from failed
        return np.asarray(model.predict(frame)["yhat"], dtype=np.float64)


def _moments(past: Past, count: int) -> Any:
    import pandas as pd

    return pd.date_range(past.start.replace(tzinfo=None), periods=count, freq=past.frequency.step)
