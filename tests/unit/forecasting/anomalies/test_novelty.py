"""Scores that never look ahead, and incidents out of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasting.anomalies.episodes import Judged, Observed, candidates, episodes, judge
from forecasting.anomalies.novelty import first_of_each, novelty
from forecasting.anomalies.policy import MEASURES, Policy

_HOURS = 24 * 28
_POLICY = Policy()


def _business(seed: int = 0, level: float = 40.0) -> np.ndarray:
    """Four weeks of hourly counts: office hours, quieter week-ends, noise."""
    hour = np.arange(_HOURS)
    season = np.maximum(0.05, 1 - np.abs(hour % 24 - 13) / 8) * np.where(hour // 24 % 7 >= 5, 0.3, 1.0)
    return np.random.default_rng(seed).poisson(level * season).astype(float)


def _calls(values: np.ndarray) -> Observed:
    return Observed(values[None], None, values[None])


def _judge(metric: str, observed: Observed, policy: Policy) -> Judged:
    (judged,) = judge([MEASURES[metric]], [observed], policy)
    return judged


_values = arrays.arrays(
    np.float64, st.integers(2, 400), elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
)


@given(_values, st.integers(0, 399), st.sampled_from([1, 24, 96, 288]), st.floats(-1e9, 1e9))
def test_the_future_changes_no_score(values: np.ndarray, cut: int, per_day: int, other: float) -> None:
    """Whatever comes after t, score, expected value and interval at t and before are the same, to the last bit."""
    cut %= len(values)
    changed = values.copy()
    changed[cut + 1 :] = other
    one, two = novelty(values, per_day), novelty(changed, per_day)
    for name in ("score", "reach", "expected", "busy", "low", "high"):
        assert np.array_equal(getattr(one, name)[: cut + 1], getattr(two, name)[: cut + 1], equal_nan=True), name


@given(_values)
def test_a_score_is_a_number_and_nothing_known_is_nothing_new(values: np.ndarray) -> None:
    """Scores are finite and never negative, and 0 where the value is not known; nothing warns or raises."""
    score = novelty(values, 24).score
    assert np.isfinite(score).all() and (score >= 0).all()
    assert not score[np.isnan(values)].any()


def test_series_are_scored_together_as_alone() -> None:
    """Scoring many series at once gives each what it gets alone."""
    many = np.stack([_business(seed) for seed in range(4)])
    together = novelty(many, 24)
    for row, values in enumerate(many):
        assert np.array_equal(together.score[row], novelty(values, 24).score)


def test_a_surge_is_found_in_its_first_hour_and_quiet_weeks_are_quiet() -> None:
    """Twenty ordinary series have no incident in four weeks; ten times the calls for three hours is one, from the
    first hour, ends after the last, and is critical."""
    ordinary = Observed(many := np.stack([_business(seed) for seed in range(20)]), None, many)
    assert not _judge("calls", ordinary, _POLICY).begins.any()
    surge = _business()
    surge[612:615] *= 10
    (found,) = episodes(_judge("calls", _calls(surge), _POLICY), 0)
    assert (found.first, found.last, found.open, found.critical) == (612, 614, False, True)
    assert found.observed == surge[612:615].max() and found.expected < found.high < found.observed


def test_an_incident_of_now_is_open_and_keeps_its_beginning() -> None:
    """Hour by hour the same incident is found with the same beginning; it is open until two hours were quiet."""
    surge = _business()
    surge[612:618] *= 10
    seen = [episodes(_judge("calls", _calls(surge[:end]), _POLICY), 0) for end in range(612, 622)]
    assert seen[0] == [] and {one.first for found in seen for one in found} == {612}
    assert [found[0].open for found in seen[1:]] == [True] * 7 + [False] * 2


def test_small_volumes_and_short_histories_are_left_alone() -> None:
    """The same relative surge says nothing below the minimum volume, within the first days, or as spend of cents."""
    tiny = _business(level=0.5)
    tiny[612:615] = 12
    assert not _judge("calls", _calls(tiny), _POLICY).begins.any()
    cents = Observed(tiny[None] / 100, None, tiny[None])
    assert not _judge("cost_usd", cents, _POLICY).begins.any()
    early = _business()
    early[108:111] *= 20
    assert not _judge("calls", _calls(early), _POLICY).begins.any()


def test_an_error_rate_needs_calls_and_errors() -> None:
    """Half of many calls failing is an incident; one failed call of one, at night, is not."""
    calls = _business() + 30
    errors = np.random.default_rng(1).binomial(calls.astype(int), 0.02).astype(float)
    errors[610] = calls[610] / 2
    calls[500], errors[500] = 1, 1
    (found,) = episodes(_judge("error_rate", Observed(errors[None], calls[None], calls[None]), _POLICY), 0)
    assert found.first == 610 and found.observed == pytest.approx(0.5)


def test_less_sensitive_means_fewer() -> None:
    """A surge just beyond the record is reported, and not with a tenth of the sensitivity."""
    surge = _business()
    surge[[620, 621]] = surge[:600].max() * 1.4
    assert _judge("calls", _calls(surge), Policy(min_ratio=1)).begins.any()
    assert not _judge("calls", _calls(surge), Policy(min_ratio=1, sensitivity=0.1)).begins.any()


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 20))
def test_an_alarm_is_told_once_unless_it_grows(scores: list[float], rows: int) -> None:
    """A score is kept exactly when it exceeds every score of the rows before."""
    kept = first_of_each(np.array(scores), rows)
    for place, score in enumerate(scores):
        before = scores[max(0, place - rows) : place]
        assert kept[place] == (score if score > max(before, default=0.0) else 0.0)


def test_series_that_are_not_candidates_have_no_incident() -> None:
    """What the cheap look leaves out has no incident in the hours asked for, and what it keeps has not lost any."""
    many = np.stack([_business(seed) for seed in range(12)])
    many[3, 612:615] *= 10
    many[7, 300:303] *= 10
    observed = Observed(many, None, many)
    kept = candidates([MEASURES["calls"]], [observed], _POLICY, 560)
    found = [bool(_judge("calls", observed, _POLICY).begins[row, 560:].any()) for row in range(12)]
    assert kept[3] and not kept[7] and all(kept[row] for row in range(12) if found[row])
    alone = Observed(many[kept], None, many[kept])
    assert np.array_equal(_judge("calls", alone, _POLICY).begins, _judge("calls", observed, _POLICY).begins[kept])
