"""Incidents out of scores: when one begins, how long it lasts, how severe it is. Pure, and causal like the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.anomalies.novelty import BUSY, SEASON_DAYS, THRESHOLD, Novelty, expectations, novelty
from forecasting.anomalies.policy import Measure, Policy
from forecasting.arrays import Floats

#: An incident lasts while the excess is at least this share of its worst so far.
_RELEASE: Final = 0.3
#: Quiet hours after which it has ended: one is a pause.
_QUIET: Final = 2
#: Critical from here: the value went beyond its record by this many ranges of the record.
_CRITICAL_REACH: Final = 1.0
_HOURS_A_DAY: Final = 24
#: Standard deviations of a Poisson count by which failed calls have to exceed the expected.
_DEVIATIONS: Final = 4.0


@dataclass(frozen=True)
class Observed:
    """Hourly sums of some series, (series, hours); without a denominator the numerator is the value."""

    numerator: Floats
    denominator: Floats | None
    calls: Floats


@dataclass(frozen=True)
class Episode:
    """One incident of one series; places are hours, ``last`` inclusive.

    ``observed`` and ``expected`` are of the worst hour; ``low`` and ``high`` of the first, when the incident had not
    yet widened the record; ``score`` is the largest; ``excess`` is summed over all.
    """

    first: int
    last: int
    open: bool
    critical: bool
    score: float
    observed: float
    expected: float
    low: float
    high: float
    excess: float


@dataclass(frozen=True)
class Judged:
    """Values of series and which hours stand out."""

    values: Floats
    novelty: Novelty
    begins: NDArray[np.bool_]
    lasts: NDArray[np.bool_]


def values_of(observed: Observed, policy: Policy) -> Floats:
    """The metric's values; a ratio over too few calls is not known."""
    if observed.denominator is None:
        return observed.numerator
    enough = observed.denominator >= policy.min_calls
    ratio = observed.numerator / np.where(enough, observed.denominator, 1)
    return np.asarray(np.where(enough, ratio, np.nan))


def judge(measures: Sequence[Measure], observed: Sequence[Observed], policy: Policy) -> list[Judged]:
    """Score every hour of every series of each metric, and say in which an incident may begin.

    Only more than usual is an incident (too little is what TelemetrySilent is for). It takes novelty, a multiple of
    what the hour is like on busy days, the minimum volumes, and a history that is long enough. All metrics have the
    same series, so they are scored in one pass.
    """
    values = np.stack([values_of(one, policy) for one in observed])
    scored = novelty(values, _HOURS_A_DAY, THRESHOLD / policy.sensitivity)
    return [
        _judged(measure, observed[i], values[i], Novelty(*(array[i] for array in vars(scored).values())), policy)
        for i, measure in enumerate(measures)
    ]


def _judged(measure: Measure, observed: Observed, values: Floats, found: Novelty, policy: Policy) -> Judged:
    stands_out = _stands_out(measure, observed, values, (found.expected, found.busy), policy)
    age = np.cumsum(np.cumsum(observed.calls > 0, axis=-1) > 0, axis=-1)
    old = age > policy.min_history_days * _HOURS_A_DAY
    return Judged(values, found, stands_out & old & (found.score >= THRESHOLD / policy.sensitivity), stands_out)


def _stands_out(
    measure: Measure, observed: Observed, values: Floats, usual: tuple[Floats, Floats], policy: Policy
) -> NDArray[np.bool_]:
    """Whether an hour is a multiple of the usual, in volumes that matter: without it there is no incident."""
    expected, busy = usual[0], np.nan_to_num(usual[1])
    more = np.nan_to_num(values) >= policy.min_ratio * busy
    if observed.denominator is None:
        excess = values - np.nan_to_num(expected)
    else:
        excess = observed.numerator - busy * observed.denominator
    return np.asarray(more & _enough(measure, observed, np.nan_to_num(excess), policy) & ~np.isnan(expected))


def candidates(
    measures: Sequence[Measure], observed: Sequence[Observed], policy: Policy, since: int
) -> NDArray[np.bool_]:
    """The series in which any hour from ``since`` on stands out: only these can have an incident then.

    Much cheaper than `judge`, because it needs a week of history and no records.
    """
    late = slice(max(0, since - SEASON_DAYS * _HOURS_A_DAY), None)
    newest = slice(since - (late.start or 0), None)
    found = np.zeros(observed[0].calls.shape[0], dtype=bool)
    for measure, whole in zip(measures, observed, strict=True):
        weights = None if whole.denominator is None else whole.denominator[:, late]
        part = Observed(whole.numerator[:, late], weights, whole.calls[:, late])
        values = values_of(part, policy)
        expected, busy = expectations(values, _HOURS_A_DAY, (0.5, BUSY))
        found |= _stands_out(measure, part, values, (expected, busy), policy)[:, newest].any(axis=-1)
    return found


def _enough(measure: Measure, observed: Observed, excess: Floats, policy: Policy) -> NDArray[np.bool_]:
    """Whether the volume is worth a word; failed calls also have to be more than chance brings."""
    if measure.name == "cost_usd":
        return np.asarray(excess >= policy.min_usd)
    if measure.name == "error_rate":
        chance = _DEVIATIONS * np.sqrt(np.maximum(observed.numerator - excess, 0))
        return np.asarray(excess >= np.maximum(policy.min_errors, np.nan_to_num(chance)))
    if measure.name == "calls":
        return np.asarray(excess >= policy.min_calls)
    return np.asarray(observed.calls >= policy.min_calls)


def episodes(judged: Judged, row: int) -> list[Episode]:
    """The incidents of one series, oldest first, never overlapping."""
    found: list[Episode] = []
    starts = np.flatnonzero(judged.begins[row])
    excess = np.nan_to_num(judged.values[row] - judged.novelty.expected[row])
    for start in starts:
        if found and start <= found[-1].last:
            continue
        found.append(_episode(judged, row, int(start), excess))
    return found


def _episode(judged: Judged, row: int, first: int, excess: Floats) -> Episode:
    last, worst = first, excess[first]
    begins, lasts = judged.begins[row], judged.lasts[row]
    place = first + 1
    while place < len(excess) and place - last <= _QUIET:
        if begins[place] or (lasts[place] and excess[place] >= _RELEASE * worst):
            last, worst = place, max(worst, excess[place])
        place += 1
    hours = slice(first, last + 1)
    peak = first + int(np.argmax(excess[hours]))
    score, reach = judged.novelty.score[row, hours], judged.novelty.reach[row, hours]
    at = (row, peak)
    return Episode(
        first=first,
        last=last,
        open=len(excess) - 1 - last < _QUIET,
        critical=bool(np.max(reach) >= _CRITICAL_REACH),
        score=float(np.max(score)),
        observed=float(judged.values[at]),
        expected=float(judged.novelty.expected[at]),
        low=float(judged.novelty.low[row, first]),
        high=float(judged.novelty.high[row, first]),
        excess=float(np.sum(excess[hours][judged.lasts[row, hours]])),
    )
