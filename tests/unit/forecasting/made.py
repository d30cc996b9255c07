"""Made-up usage: a day and a week, noise, nothing below zero."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from forecasting.arrays import Floats
from forecasting.frequency import HOUR, Frequency
from forecasting.series import Key, Series

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
KEY = Key("acme", "cost_usd", "team", "search")


def usage(length: int, seed: int = 0, noise: float = 0.5) -> Floats:
    """Dollars an hour."""
    hours = np.arange(length)
    rng = np.random.default_rng(seed)
    day = 10 + 6 * np.sin(hours * 2 * np.pi / 24) + 2 * np.sin(hours * 2 * np.pi / 168)
    return np.maximum(day + noise * rng.standard_normal(length), 0.0)


def series(values: Floats, frequency: Frequency = HOUR, key: Key = KEY) -> Series:
    """A series of the made-up company."""
    return Series(key, frequency, START, np.asarray(values, dtype=np.float64))
