"""The shape of usual weeks."""

from __future__ import annotations

import numpy as np

from forecasting import profile


def test_one_accident_is_not_the_fullest_hour() -> None:
    """Of seven days, the second fullest counts: one wild day changes nothing, two do; under a week it is unknown."""
    hours = np.ones(10 * 24)
    assert profile.fullest_hour(hours) == 1.0
    hours[-36:-30] = 50.0
    assert profile.fullest_hour(hours) == 1.0
    hours[-60] = 20.0
    assert profile.fullest_hour(hours) == 20.0
    hours[: 4 * 24] = 0.0
    assert profile.fullest_hour(hours) is None
    assert profile.fullest_hour(np.zeros(500)) is None
