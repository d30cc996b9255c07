"""How often a series is measured, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final


@dataclass(frozen=True)
class Frequency:
    """A step of time and its seasons.

    Attributes:
        name: as in `genai_forecast.freq` and the name of the rollup, `genai_rollup_<name>`.
        step: length of a bucket.
        seasons: season lengths in buckets, shortest first.
        horizon: buckets forecast when nobody says how many.
        windows: origins of the backtest.
    """

    name: str
    step: timedelta
    seasons: tuple[int, ...]
    horizon: int
    windows: int

    @property
    def period(self) -> int:
        """The season of the scores and of the seasonal naive forecast, in buckets."""
        return self.seasons[0]

    def floor(self, moment: datetime) -> datetime:
        """The start of the bucket that ``moment`` (UTC) lies in."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (moment - midnight) // self.step * self.step


HOUR: Final = Frequency("hour", timedelta(hours=1), (24, 168), horizon=168, windows=6)
DAY: Final = Frequency("day", timedelta(days=1), (7,), horizon=35, windows=6)
FREQUENCIES: Final = {frequency.name: frequency for frequency in (HOUR, DAY)}
