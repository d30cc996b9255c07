"""What a forecast means for a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecasting.outlook import burn, outlook, planned_share

_NOW, _DAY = datetime(2026, 11, 11, tzinfo=UTC), timedelta(days=1)


def test_a_certain_future_is_dated_exactly() -> None:
    """Ten dollars a day on fifty spent pass a limit of 75 at noon of the third day, with certainty."""
    found = outlook(50, 75, np.full((20, 10), 10.0), _NOW, _DAY, _NOW + 10 * _DAY)
    assert found.exhausted_at == found.exhausted_early == found.exhausted_late == _NOW + 2.5 * _DAY
    assert (found.p10, found.p50, found.p90, found.overrun_probability) == (150, 150, 150, 1.0)


def test_a_probability_is_a_share_of_futures() -> None:
    """Of four futures of which one passes the limit, the chance is a quarter, and half of them never get there."""
    paths = np.array([[1.0] * 10, [2.0] * 10, [3.0] * 10, [9.0] * 10])
    found = outlook(0, 50, paths, _NOW, _DAY, _NOW + 10 * _DAY)
    assert found.overrun_probability == 0.25
    assert found.exhausted_at is None and found.exhausted_late is None
    assert found.exhausted_early is not None


def test_a_period_may_end_within_a_bucket_and_needs_a_long_enough_forecast() -> None:
    """A period in another time zone ends between two UTC midnights; a forecast that ends before is refused."""
    assert outlook(0, 99, np.full((5, 3), 8.0), _NOW, _DAY, _NOW + 1.25 * _DAY).p50 == pytest.approx(10)
    with pytest.raises(ValueError, match="ends before"):
        outlook(0, 99, np.full((5, 3), 8.0), _NOW, _DAY, _NOW + 4 * _DAY)


def test_what_is_spent_is_spent() -> None:
    """A limit that has been passed is exhausted now, whatever comes."""
    assert outlook(80, 75, np.zeros((5, 3)), _NOW, _DAY, _NOW + _DAY).exhausted_at == _NOW


def test_a_nightly_batch_is_not_a_burn() -> None:
    """Nine tenths of the day's money in the batch's hour is on plan (1); the same in another hour is not."""
    shape = np.full(24, 1.0)
    shape[2] = 207.0
    assert planned_share(shape, 24) == pytest.approx(1)
    assert burn(9.0, 10.0, shape, 2, 3) == pytest.approx(1.0, rel=0.01)
    other = burn(9.0, 10.0, shape, 14, 15)
    assert other is not None and other > 200
    assert burn(1.0, 10.0, np.array([0.0, 1.0]), 0, 1) is None
