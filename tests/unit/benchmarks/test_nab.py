"""NAB's scoring rule: its fixed points, and the rule written down row by row as the oracle."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import nab


def _file(windows: list[tuple[int, int]], rows: int = 200) -> nab.File:
    times = [datetime(2026, 1, 1) + timedelta(minutes=5 * i) for i in range(rows)]
    return nab.File("a", times, np.zeros(rows), windows)


_FILE = _file([(60, 79), (120, 139)])


def test_null_is_0_and_perfect_is_100() -> None:
    """In every profile, detecting nothing is 0 and detecting each window's first row alone is 100."""
    perfect = np.isin(np.arange(200), [60, 120]) * 1.0
    for profile in nab.PROFILES:
        assert nab.score([_FILE], {"a": np.zeros(200)}, profile, 0.5).score == 0
        assert math.isclose(nab.score([_FILE], {"a": perfect}, profile).score, 100)


def _by_hand(file: nab.File, scores: list[float], threshold: float, profile: str) -> float:
    """Lavin and Ahmad 2015, III.B, a row at a time."""
    hit, false, missed = nab.PROFILES[profile]

    def sigmoid(y: float) -> float:
        return 2 / (1 + math.exp(5 * y)) - 1 if y < 3 else -1.0

    best: dict[int, float] = {}
    total = 0.0
    for row, score in enumerate(scores):
        if row < int(nab.PROBATION * len(scores)) or score < threshold:
            continue
        inside = [n for n, (first, last) in enumerate(file.windows) if first <= row <= last]
        if inside:
            first, last = file.windows[inside[0]]
            gain = hit * sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1)
            best[inside[0]] = max(best.get(inside[0], -missed), gain)
            continue
        before = [(first, last) for first, last in file.windows if last < row]
        total += false * sigmoid((row - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else 3.0)
    return total + sum(best.get(n, -missed) for n in range(len(file.windows)))


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9]), min_size=200, max_size=200),
    st.sampled_from(sorted(nab.PROFILES)),
    st.sampled_from([0.2, 0.5, 0.9]),
)
def test_every_threshold_sums_to_what_the_rule_says(scores: list[float], profile: str, threshold: float) -> None:
    """The sweep over thresholds agrees with the rule applied row by row, and its best is no less than any of them."""
    hit, _, missed = nab.PROFILES[profile]
    perfect, null = hit * 2, -missed * 2
    expected = 100 * (_by_hand(_FILE, scores, threshold, profile) - null) / (perfect - null)
    given_scores = {"a": np.array(scores)}
    assert math.isclose(nab.score([_FILE], given_scores, profile, threshold).score, expected, abs_tol=1e-9)
    assert nab.score([_FILE], given_scores, profile).score >= expected - 1e-9
