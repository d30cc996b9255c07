"""Forecasts that repeat: the references, and what is left when history is short."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Floats
from forecasting.frequency import Frequency
from forecasting.models import Past


@dataclass(frozen=True)
class SeasonalNaive:
    """The last season again. ``season`` counts the frequency's seasons: 0 the shortest, -1 the longest."""

    season: int = 0
    name: str = "seasonal_naive"

    def shortest(self, frequency: Frequency) -> int:
        """One season."""
        return frequency.seasons[self.season]

    def forecast(self, past: Past, horizon: int) -> Floats:
        """Repeat the last season."""
        return np.resize(past.values[-past.frequency.seasons[self.season] :], horizon)


@dataclass(frozen=True)
class RecentMean:
    """The mean of the last season, or of the little there is: what remains to be said of a short history."""

    name: str = "recent_mean"

    def shortest(self, frequency: Frequency) -> int:
        """One value."""
        return 1

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The mean of at most one season, throughout."""
        return np.full(horizon, past.values[-past.frequency.seasons[-1] :].mean())


@dataclass(frozen=True)
class SeasonalProfile:
    """The mean of past long seasons, recent ones counting more, moved to the level of the last short season.

    ``memory`` is what a season counts beside the one after it. In logarithms where every value is positive.
    """

    memory: float = 0.7
    name: str = "profile"

    def shortest(self, frequency: Frequency) -> int:
        """Two of the longest seasons."""
        return 2 * frequency.seasons[-1]

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The weighted mean season, continued."""
        season, period = past.frequency.seasons[-1], past.frequency.period
        count = len(past.values) // season
        seasons = past.values[len(past.values) - count * season :].reshape(count, season)
        weights = self.memory ** np.arange(count)[::-1]
        profile = weights @ seasons / weights.sum()
        level = (past.values[-period:] - profile[-period:]).mean()
        return np.asarray(np.resize(profile, horizon) + level)
