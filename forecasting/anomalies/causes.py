"""Who caused an incident: each value's share of what was beyond the expected. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats

#: Contributors named per axis, and the least share that is worth naming.
_MOST: Final = 3
_LEAST_SHARE: Final = 0.1


@dataclass(frozen=True)
class Contributor:
    """A value of an axis; ``observed`` and ``expected`` are sums over the incident, ``share`` of its excess, 0 to 1."""

    axis: str
    value: str
    observed: float
    expected: float
    share: float


@dataclass(frozen=True)
class Amounts:
    """What the values of an axis did, (values, ...): in the incident, and in the same hours of the days before.

    ``weight`` and ``past_weight`` are the denominators of a ratio, None for a sum.
    """

    axis: str
    values: list[str]
    amount: Floats
    past: Floats
    weight: Floats | None = None
    past_weight: Floats | None = None


def contributors(amounts: Iterable[Amounts]) -> list[Contributor]:
    """The largest contributors of each axis, axes in the order given, largest share first.

    A sum's excess is what a value did beyond the median of the same hours in the days before. A ratio's excess is in
    its numerator: failed calls beyond those that its calls would have had at everybody's usual rate, say. Values that
    did less than expected take no share, so shares of one axis add up to at most 1.
    """
    return [one for axis in amounts for one in _of_axis(axis)]


def _of_axis(axis: Amounts) -> list[Contributor]:
    expected = _expected(axis)
    excess = np.maximum(axis.amount - expected, 0)
    whole = float(excess.sum())
    if whole <= 0:
        return []
    share = excess / whole
    order = np.argsort(-share, kind="stable")[:_MOST]
    return [
        Contributor(axis.axis, axis.values[i], float(axis.amount[i]), float(expected[i]), float(share[i]))
        for i in order
        if share[i] >= _LEAST_SHARE
    ]


def _expected(axis: Amounts) -> Floats:
    if axis.weight is None or axis.past_weight is None:
        return np.asarray(np.median(axis.past, axis=-1))
    weight = float(axis.past_weight.sum())
    rate = float(axis.past.sum()) / weight if weight else 0.0
    return np.asarray(rate * axis.weight)
