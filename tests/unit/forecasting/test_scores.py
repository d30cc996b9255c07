"""The measures against values worked out by hand, and against what must hold for any series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting import scores

_POSITIVE = arrays(np.float64, 60, elements=st.floats(1, 1000))


def test_known_values() -> None:
    """sMAPE, MASE and OWA are M4's, to the digit, on a case small enough to compute by hand."""
    history, actual, said = np.array([1.0, 2, 3, 5]), np.array([10.0, 20]), np.array([5.0, 20])
    assert scores.smape(actual, said) == pytest.approx((200 * 5 / 15 + 0) / 2)
    assert scores.scale(history, 1) == pytest.approx((1 + 1 + 2) / 3)
    assert scores.mase(actual, said, history, 1) == pytest.approx(2.5 / (4 / 3))
    assert scores.owa(5, 1, 10, 4) == pytest.approx((0.5 + 0.25) / 2)
    assert scores.coverage(actual, np.array([10, 21]), np.array([11, 22])) == 0.5


@given(_POSITIVE)
def test_a_perfect_forecast_has_no_error(actual: np.ndarray) -> None:
    """What is foreseen exactly scores 0, and an interval of no width around it covers everything."""
    assert scores.smape(actual, actual) == 0
    assert scores.coverage(actual, actual, actual) == 1


def test_zero_foreseen_as_zero_is_no_error() -> None:
    """Usage has silent hours; 0/0 must not poison the mean."""
    assert scores.smape(np.zeros(3), np.zeros(3)) == 0


def test_naive2_repeats_a_multiplicative_season_exactly() -> None:
    """On a pure season times a level, M4's reference continues the season; without one it repeats the last value."""
    season = np.array([0.5, 1.0, 1.5, 1.0])
    history = np.tile(season, 20) * 8
    assert scores.is_seasonal(history, 4)
    assert scores.naive2(history, 4, 6) == pytest.approx(np.resize(season, 6) * 8)
    noise = np.random.default_rng(1).standard_normal(200) + 50
    assert not scores.is_seasonal(noise, 24)
    assert scores.naive2(noise, 24, 3).tolist() == [noise[-1]] * 3


@pytest.mark.parametrize("history", [np.ones(100), np.zeros(100), np.arange(5.0)])
def test_nothing_to_compare_with_is_said(history: np.ndarray) -> None:
    """A constant or short history has no season and no scale: NaN, not a crash and not a flattering 0."""
    assert not scores.is_seasonal(history, 24)
    assert np.isnan(scores.scale(history, 24))
