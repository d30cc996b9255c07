"""One forecast: calibrated, never negative, honest when history is short."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecasting import blend, conformal
from forecasting.backtest import Backtest
from forecasting.forecast import Wish, forecast
from forecasting.frequency import DAY, HOUR
from tests.unit.forecasting.made import series, usage


@given(st.integers(1, 900), st.integers(0, 99), st.sampled_from([HOUR, DAY]), st.sampled_from([0.0, 0.3, 0.95]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_any_history_gets_a_forecast_that_is_never_negative(
    length: int, seed: int, frequency: object, idle: float
) -> None:
    """However short or full of silent hours: intervals nest around the middle, nothing is below 0."""
    values = usage(length, seed) * (np.random.default_rng(seed).random(length) >= idle)
    found = forecast(series(values, HOUR if frequency is HOUR else DAY), Wish(30))
    bounds = [found.interval(level) for level in (0.95, 0.8, 0.5)]
    for (outer_low, outer_high), (low, high) in pairwise(bounds):
        assert (outer_low >= 0).all() and (outer_low <= low).all() and (high <= outer_high).all()
    assert (bounds[-1][0] <= found.middle).all() and (found.middle <= bounds[-1][1]).all()
    assert (found.paths(50) >= 0).all()
    if length < 30:
        assert found.note
        assert "tested" in found.note or (found.mase is None and found.coverage80 is None)


def test_a_short_history_says_so() -> None:
    """Five hours are a mean, two days are last day's repetition, and both are called what they are."""
    assert "less than one season" in forecast(series(usage(5)), Wish(24)).note
    short = forecast(series(usage(40)), Wish(48))
    assert short.model == "seasonal_naive"
    assert "too short" in short.note


def test_nothing_known_is_refused() -> None:
    """A series of gaps has no forecast: it is not zero."""
    with pytest.raises(ValueError, match="nothing is known"):
        forecast(series(np.full(50, np.nan)), Wish(24))


def test_a_season_without_noise_is_foreseen() -> None:
    """What repeats exactly is continued exactly, and the intervals are as narrow as the errors were."""
    whole = usage(1200, noise=0.0)
    found = forecast(series(whole[:1000]), Wish(200))
    assert np.abs(found.middle - whole[1000:]).max() < 0.05
    low, high = found.interval(0.95)
    assert (high - low).max() < 0.2


def test_a_gap_is_neither_learnt_nor_scored() -> None:
    """An outage of a day leaves the forecast nearly as it is; the same hours as zeros would not."""
    values = usage(1008, noise=0.2)
    holes, zeros = values.copy(), values.copy()
    holes[-72:-48], zeros[-72:-48] = np.nan, 0.0
    whole, gap, zero = (forecast(series(one), Wish(48)).middle for one in (values, holes, zeros))
    assert np.abs(gap - whole).mean() < 0.5 < np.abs(zero - whole).mean()


def test_intervals_cover_what_they_promise() -> None:
    """On exchangeable errors of any size, new values lie in the 80 % interval 80 % of the time."""
    rng = np.random.default_rng(7)
    inside = {0.5: [], 0.8: [], 0.95: []}
    for _ in range(300):
        errors = rng.standard_t(4, (7, 24)) * rng.uniform(0.1, 10)
        known = conformal.spread(errors[:-1])
        for level, hits in inside.items():
            hits.append((np.abs(errors[-1]) <= known.width(level)).mean())
    for level, hits in inside.items():
        assert abs(np.mean(hits) - level) < 0.03


def test_futures_have_the_intervals_and_the_sums_of_the_backtest() -> None:
    """Each step of the futures is spread as its interval; lasting errors make totals as uncertain as they were."""
    rng = np.random.default_rng(3)
    lasting = rng.standard_normal((40, 1)) + 0.3 * rng.standard_normal((40, 48))
    known = conformal.spread(lasting)
    paths = conformal.futures(np.zeros(48), known, 4000, seed=1)
    share = (np.abs(paths) <= known.width(0.8)).mean()
    assert abs(share - 0.8) < 0.03
    assert paths.sum(axis=1).std() == pytest.approx(lasting.sum(axis=1).std(), rel=0.3)
    independent = conformal.futures(np.zeros(48), conformal.spread(rng.standard_normal((40, 48))), 4000, seed=1)
    assert independent.sum(axis=1).std() < paths.sum(axis=1).std() / 3


def test_the_blend_follows_the_better_model() -> None:
    """Shares sum to one, a model twice as good counts sixteen times as much, a hopeless one is left out."""
    errors = np.stack([np.ones((3, 5)), 2 * np.ones((3, 5)), 100 * np.ones((3, 5))])
    shares = blend.weights(errors)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[1] == pytest.approx(16)
    assert shares[2] == 0


def test_an_origin_does_not_choose_its_own_blend() -> None:
    """The blend is scored at each origin with shares earned elsewhere, or its measured error would flatter."""
    actual = np.zeros((2, 1))
    paths = np.array([[[0.0], [10.0]], [[10.0], [0.0]]])  # each model is perfect at one origin
    errors = blend.honest_errors(Backtest(("a", "b"), paths, actual))
    assert np.abs(errors).min() > 9


def test_a_short_history_is_tested_as_far_as_it_reaches() -> None:
    """Four weeks by day cannot test 35 days ahead; they are tested 14 days ahead, the note says so, and beyond what
    was tested the intervals widen."""
    values = 10 + np.arange(28) % 7 + np.random.default_rng(1).normal(0, 0.5, 28)
    found = forecast(series(values, DAY), Wish(35))
    assert "tested 14 steps ahead" in found.note
    assert found.mase is not None and found.coverage80 is not None
    low, high = found.interval(0.8)
    width = high - low
    assert len(width) == 35 and width[34] > width[13] > 0
    assert found.paths(50).shape == (50, 35)


def test_one_odd_day_in_a_perfectly_regular_series_is_not_the_end_of_the_world() -> None:
    """The same every day, and one day three times as much: futures stay in the order of what was ever seen."""
    for odd in (0, 20, 40, 57):
        values = np.full(58, 70.0)
        values[odd] = 210.0
        found = forecast(series(values, DAY), Wish(41))
        assert np.quantile(found.paths().sum(axis=1), 0.9) < 3 * 41 * 70
