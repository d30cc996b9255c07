"""The models: each answers the middle of what is to come. How sure that is, the backtest says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from forecasting.arrays import Floats
from forecasting.frequency import Frequency


@dataclass(frozen=True)
class Past:
    """What a model may know.

    Attributes:
        values: equally spaced, without NaN.
        start: the moment of the first value, UTC.
        frequency: the step.
        country: ISO 3166 code of the country whose holidays matter, "" for none.
        floor: nothing is forecast below (spend is not negative).
        cap: nothing is forecast above; None where there is no bound.
    """

    values: Floats
    start: datetime
    frequency: Frequency
    country: str = ""
    floor: float = 0.0
    cap: float | None = None

    def until(self, origin: int) -> Past:
        """The same as it was known when ``origin`` values were."""
        return replace(self, values=self.values[:origin])


class Model(Protocol):
    """A way to continue a series."""

    @property
    def name(self) -> str:
        """As `genai_forecast.model` and the benchmark say it."""

    def shortest(self, frequency: Frequency) -> int:
        """Values without which the model is not asked."""

    def forecast(self, past: Past, horizon: int) -> Floats:
        """The next ``horizon`` values. Every model may raise ValueError for a past it cannot continue."""
