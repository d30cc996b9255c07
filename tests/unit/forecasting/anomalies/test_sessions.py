"""Runaway sessions, from the numbers of their calls."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.anomalies.sessions import Limits, Session, runaway

_LIMITS = Limits(usd=5.0, calls=30, usual_usd=1.0)


def _session(every: float, cost: float, inputs: np.ndarray) -> Session:
    number = len(inputs)
    return Session("acme", "s1", 1e9 + every * np.arange(number), np.full(number, cost), inputs.astype(float))


def _varied(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(500, 9000, number)


def test_a_slope_is_found_within_minutes() -> None:
    """At 60 USD an hour a session is found when it has spent what no ordinary one spends: after 5 minutes."""
    found = runaway(_session(10, 1 / 6, _varied(60)), _LIMITS)
    assert found is not None and found.signs == ("cost slope",) and not found.critical
    assert 10 * found.first <= 5 * 60
    assert found.excess == pytest.approx(9.0)


def test_the_same_prompt_again_and_again_is_a_loop() -> None:
    """Sizes within two hundredths of each other are the same prompt; a dear session with them is critical."""
    found = runaway(_session(30, 0.12, np.full(90, 4000) + _varied(90) % 20), _LIMITS)
    assert found is not None and "repeated prompts" in found.signs and found.critical


def test_an_exploding_context_counts_when_the_spend_is_unusual() -> None:
    """Growing input is how agents work: it is a sign only together with an unusual spend."""
    growing = np.linspace(2000, 150_000, 80)
    assert runaway(_session(40, 0.04, growing), _LIMITS) is None
    found = runaway(_session(40, 0.2, growing), _LIMITS)
    assert found is not None and found.signs == ("cost slope", "exploding context") and found.critical


def test_ordinary_sessions_are_left_alone() -> None:
    """Cheap loops, busy cheap sessions, and dear ones where all sessions are dear are no runaways."""
    assert runaway(_session(5, 0.0005, np.full(500, 4000)), _LIMITS) is None
    assert runaway(_session(20, 0.02, _varied(180)), _LIMITS) is None
    assert runaway(_session(60, 0.2, _varied(60)), Limits(5.0, 30, usual_usd=10.0)) is None


def test_later_calls_do_not_move_the_beginning() -> None:
    """However much of the session is known, the runaway begins at the same call: nothing looks ahead."""
    whole = _session(30, 0.12, np.full(90, 4000))
    firsts = set()
    for end in range(10, 91):
        part = Session(whole.tenant, whole.name, whole.seconds[:end], whole.cost[:end], whole.inputs[:end])
        found = runaway(part, _LIMITS)
        firsts |= {found.first} if found else set()
    assert len(firsts) == 1
