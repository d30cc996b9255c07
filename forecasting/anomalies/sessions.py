"""Runaway agents: sessions that within an hour spend far more than sessions do, and what they do meanwhile. Pure.

Three signs, each of the trailing hour: the *slope* of the cost (the last ten minutes against the usual session), the
same input again and again (prompts are not kept, but an agent in a loop sends the same number of tokens), and a context
that grows with every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats

HOUR: Final = 3600.0
#: Seconds over which the slope is taken.
_SLOPE: Final = 600.0
#: A session runs away when it spends so many times what the largest hundredth of sessions spends in an hour.
_TIMES_USUAL: Final = 3.0
#: Input sizes this close (as a share) count as the same prompt; this share of calls repeating it is a loop.
_SAME: Final = 0.02
_LOOP: Final = 0.7
#: A context explodes when so large a share of the calls has more input than the one before, and grew so many times.
_GROWING: Final = 0.8
_GREW: Final = 4.0


@dataclass(frozen=True)
class Session:
    """The calls of one session, in order: seconds (any zero), cost in USD (unknown: 0), input tokens (unknown: NaN)."""

    tenant: str
    name: str
    seconds: Floats
    cost: Floats
    inputs: Floats


@dataclass(frozen=True)
class Limits:
    """From where on a session can be a runaway: spend and calls in an hour, and what sessions usually spend in one."""

    usd: float
    calls: int
    usual_usd: float

    @property
    def unusual_usd(self) -> float:
        """Spend in an hour that no ordinary session reaches."""
        return max(self.usd, _TIMES_USUAL * self.usual_usd)


@dataclass(frozen=True)
class Runaway:
    """A session out of control; ``first`` and ``last`` are places of its calls.

    ``observed`` is the most it spent in an hour, ``excess`` what it spent beyond the usual since it began.
    """

    first: int
    last: int
    observed: float
    slope: float
    excess: float
    signs: tuple[str, ...]

    @property
    def critical(self) -> bool:
        """Whether it is more than expensive: a loop does not end by itself."""
        return len(self.signs) > 1 or "repeated prompts" in self.signs


def runaway(session: Session, limits: Limits) -> Runaway | None:
    """The newest stretch in which the session was out of control; None when there is none.

    At each call only that call and those before it count. It begins at the first call that shows a sign, and lasts
    while signs are no more than an hour apart.
    """
    seconds, cost = session.seconds, session.cost
    start = np.searchsorted(seconds, seconds - HOUR, side="right")
    total = np.concatenate([[0.0], np.cumsum(cost)])
    place = np.arange(len(seconds))
    spent, calls = total[place + 1] - total[start], place + 1 - start
    slope = (total[place + 1] - total[np.searchsorted(seconds, seconds - _SLOPE, side="right")]) * HOUR / _SLOPE
    dear = (spent >= limits.unusual_usd) & (slope >= limits.unusual_usd)
    many = np.flatnonzero((calls >= limits.calls) & (spent >= limits.usd))
    signs = {int(i): _signs(session.inputs[start[i] : i + 1], bool(spent[i] >= limits.unusual_usd)) for i in many}
    shown = dear.copy()
    shown[[i for i, names in signs.items() if names]] = True
    if not shown.any():
        return None
    at = np.flatnonzero(shown)
    gaps = np.flatnonzero(np.diff(seconds[at]) > HOUR)
    stretch = at[gaps[-1] + 1 :] if len(gaps) else at
    first, last = int(stretch[0]), int(stretch[-1])
    names = (["cost slope"] if dear[stretch].any() else []) + [s for i in stretch for s in signs.get(int(i), ())]
    hours = max((seconds[last] - seconds[start[first]]) / HOUR, 1.0)
    return Runaway(
        first=first,
        last=last,
        observed=float(spent[stretch].max()),
        slope=float(slope[stretch].max()),
        excess=float(max(total[last + 1] - total[start[first]] - limits.usual_usd * hours, 0.0)),
        signs=tuple(dict.fromkeys(names)),
    )


def _signs(inputs: Floats, unusual: bool) -> tuple[str, ...]:
    """A growing context alone is how agents work: it counts together with an unusual spend."""
    known = inputs[~np.isnan(inputs)]
    if len(known) < 2:
        return ()
    same = np.abs(known - np.median(known)) <= _SAME * max(float(np.median(known)), 1)
    grows = unusual and np.mean(np.diff(known) > 0) >= _GROWING and known[-1] >= _GREW * max(float(known[0]), 1)
    return (("repeated prompts",) if same.mean() >= _LOOP else ()) + (("exploding context",) if grows else ())
