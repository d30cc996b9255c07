"""Shares of an excess."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasting.anomalies.causes import Amounts, contributors


def test_the_one_who_did_more_is_named_with_its_share() -> None:
    """Of 90 calls beyond the usual, support's 80 are 8/9; search, as busy as ever, is not named."""
    amounts = Amounts(
        "team", ["ops", "search", "support"], np.array([10.0, 500.0, 85.0]), np.array([[0.0], [500], [5]])
    )
    (first, second) = contributors([amounts])
    assert (first.value, first.observed, first.expected) == ("support", 85.0, 5.0)
    assert np.isclose(first.share, 8 / 9) and np.isclose(second.share, 1 / 9) and second.value == "ops"


def test_errors_are_shared_by_those_beyond_the_usual_rate() -> None:
    """What a model may fail is everybody's usual rate of its own calls: the busiest is not to blame for being busy."""
    amounts = Amounts(
        "model",
        ["big", "broken"],
        np.array([10.0, 30.0]),
        np.array([[70.0], [2.0]]),
        np.array([1000.0, 40.0]),
        np.array([[7000.0], [200.0]]),
    )
    (one,) = contributors([amounts])
    assert one.value == "broken" and one.share == 1.0


_some = arrays.arrays(np.float64, (4,), elements=st.floats(0, 1e9))


@given(_some, arrays.arrays(np.float64, (4, 7), elements=st.floats(0, 1e9)))
def test_shares_of_an_axis_never_exceed_the_whole(amount: np.ndarray, past: np.ndarray) -> None:
    """Shares lie in 0..1, come largest first, and add up to at most 1."""
    shares = [one.share for one in contributors([Amounts("team", list("abcd"), amount, past)])]
    assert all(0 < share <= 1 for share in shares) and sum(shares) <= 1 + 1e-9
    assert shares == sorted(shares, reverse=True)
