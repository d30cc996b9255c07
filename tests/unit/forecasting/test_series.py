"""Gaps: silence that is usual is zero, silence that is not is unknown."""

from __future__ import annotations

import numpy as np

from forecasting.frequency import HOUR
from forecasting.series import filled, missing
from tests.unit.forecasting.made import usage

_WEEKS = 6 * 168


def _office() -> np.ndarray:
    hour = np.arange(_WEEKS)
    return (hour % 24 >= 8) & (hour % 24 < 18) & (hour % 168 < 120)


def test_quiet_nights_and_weekends_are_no_calls() -> None:
    """Hours that are silent every week are not taken for an outage."""
    assert not missing(_office(), HOUR).any()


def test_an_outage_on_a_working_day_is_no_data() -> None:
    """Of a day on which nothing arrived, exactly the hours that are usually busy are unknown."""
    busy = _office()
    outage = np.zeros(_WEEKS, dtype=bool)
    outage[3 * 168 + 24 : 3 * 168 + 48] = True
    assert (missing(busy & ~outage, HOUR) == (outage & busy)).all()


def test_two_weeks_are_too_few_to_tell() -> None:
    """With less than three seasons silence stays silence."""
    busy = _office()[:336]
    busy[30:40] = False
    assert not missing(busy, HOUR).any()


def test_a_gap_takes_what_its_hour_of_the_week_says() -> None:
    """A filled gap in a pure season is what was cut out, and known values are never touched."""
    whole = usage(_WEEKS, noise=0.0)
    holes = whole.copy()
    holes[400:430] = np.nan
    assert np.abs(filled(holes, HOUR) - whole).max() < 1e-9
    assert filled(whole, HOUR) is whole
    assert np.isfinite(filled(np.full(10, np.nan), HOUR)).all()
