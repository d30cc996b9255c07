"""How far off a forecast may be, from how far off it was: intervals and possible futures.

Split conformal prediction (Vovk et al. 2005; Lei et al., JASA 113, 2018) on the backtest: the errors at each step are
divided by that step's usual size, the quantiles of what remains are pooled over steps and origins. A step's usual size
never includes the origin it judges, so few origins make wide intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import ndtri

from forecasting.arrays import Floats
from forecasting.futures import normals

#: Steps at each side that say something about a step's size.
_NEIGHBOURS: Final = 2
#: Origins' worth of belief that all steps err alike.
_ALIKE: Final = 2.0
#: A step's usual size is at least this share of the mean error: where all others erred by nothing, one error is no
#: multiple of nothing.
_LEAST: Final = 0.25
#: Prior share of an error's variance that lasts for the whole horizon, and the origins' worth of it.
_LASTING: Final = 0.3
_PRIOR_ORIGINS: Final = 2.0


@dataclass(frozen=True)
class Spread:
    """The distribution of a forecast's errors.

    Attributes:
        size: the usual error of each step.
        judged: sorted absolute errors in units of ``size``.
        lasting: share of the variance that all steps of a future have in common.
        carried: correlation of the rest from one step to the next.
    """

    size: Floats
    judged: Floats
    lasting: float
    carried: float

    def width(self, level: float) -> Floats:
        """Half the width of the interval at each step."""
        return self.size * _quantile(self.judged, level)


def reaching(short: Spread, steps: int) -> Spread:
    """The same for ``steps`` steps: beyond what was tested, errors grow as those of a random walk would."""
    tested = len(short.size)
    grown = np.sqrt(np.maximum(np.arange(1, steps + 1) / tested, 1.0))
    return replace(short, size=np.pad(short.size, (0, max(steps - tested, 0)), mode="edge")[:steps] * grown)


def _quantile(judged: Floats, level: float) -> float:
    """The conformal quantile: the ceil((n + 1) level)-th smallest; the largest where there is none."""
    count = len(judged)
    place = min(int(np.ceil((count + 1) * level)), count)
    return float(judged[place - 1])


def spread(errors: Floats) -> Spread:
    """What backtest errors (origin x step, NaN where unknown) say about the errors to come.

    Raises:
        ValueError: there are none.
    """
    known = np.isfinite(errors)
    if not known.any():
        raise ValueError("no errors to learn from")
    judged = judge(errors)
    standard = np.where(known, judged, 0.0)
    return Spread(
        size=sizes(errors),
        judged=np.sort(np.abs(judged[known])),
        lasting=_lasting(standard, known),
        carried=_carried(standard),
    )


def sizes(errors: Floats) -> Floats:
    """The usual absolute error of each step: its own and its neighbours', drawn to the mean of all."""
    known = np.isfinite(errors)
    total = np.where(known, np.abs(errors), 0.0).sum(axis=0)
    count = known.sum(axis=0).astype(float)
    kernel = np.ones(2 * _NEIGHBOURS + 1)
    near, seen = (np.convolve(np.pad(side, _NEIGHBOURS), kernel, mode="valid") for side in (total, count))
    mean = total.sum() / max(count.sum(), 1.0)
    local = np.divide(near, seen, out=np.full_like(near, mean), where=seen > 0)
    trust = seen / (2 * _NEIGHBOURS + 1)
    blended = (local * trust + mean * _ALIKE) / (trust + _ALIKE)
    return np.asarray(np.maximum(blended, 1e-12))


def judge(errors: Floats) -> Floats:
    """Errors in units of their step's usual size, which is learnt from the other origins."""
    if len(errors) == 1:
        return np.asarray(errors / sizes(errors))
    others = [np.delete(errors, origin, axis=0) for origin in range(len(errors))]
    least = _LEAST * float(np.nanmean(np.abs(errors)))
    return np.stack([row / np.maximum(sizes(rest), least) for row, rest in zip(errors, others, strict=True)])


def coverage(errors: Floats, level: float) -> float | None:
    """The share of backtest values inside the interval that the other origins would have given; None with one."""
    if len(errors) < 2:
        return None
    inside: list[Floats] = []
    for origin, row in enumerate(errors):
        rest = np.delete(errors, origin, axis=0)
        known = np.isfinite(row)
        if known.any() and np.isfinite(rest).any():
            inside.append((np.abs(row) <= spread(rest).width(level))[known].astype(float))
    return float(np.concatenate(inside).mean()) if inside else None


def _lasting(standard: Floats, known: Floats) -> float:
    count = known.sum(axis=1).clip(1)
    mean_square = float(((standard.sum(axis=1) / count) ** 2).mean())
    square = float((standard**2).sum() / max(known.sum(), 1))
    found = min(mean_square / square, 1.0) if square > 0 else _LASTING
    origins = len(standard)
    return (found * origins + _LASTING * _PRIOR_ORIGINS) / (origins + _PRIOR_ORIGINS)


def _carried(standard: Floats) -> float:
    rest = standard - standard.mean(axis=1, keepdims=True)
    power = float((rest**2).sum())
    return float(np.clip((rest[:, 1:] * rest[:, :-1]).sum() / power, 0.0, 0.99)) if power > 0 else 0.0


def futures(middle: Floats, errors: Spread, count: int, seed: int) -> Floats:
    """Possible futures (path x step) around the forecast, each step distributed as its interval says.

    Errors of one future belong together: a part lasts over the whole horizon, the rest fades from step to step
    (a Gaussian copula), so that sums over the horizon are as uncertain as they were in the backtest.
    """
    normal = normals((count, len(middle)), errors.lasting, errors.carried, seed)
    return np.asarray(middle + np.sign(normal) * _magnitude(np.abs(normal), errors))


def _magnitude(normal: Floats, errors: Spread) -> Floats:
    """Absolute errors whose distribution is the backtest's, by rank."""
    grid = (np.arange(len(errors.judged)) + 0.5) / len(errors.judged)
    return np.asarray(np.interp(normal, ndtri((1 + grid) / 2), errors.judged) * errors.size)
