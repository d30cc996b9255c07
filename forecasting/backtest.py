"""Rolling origin: each model continues the series from several moments of the past, knowing nothing later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Floats
from forecasting.models import Model, Past


@dataclass(frozen=True)
class Backtest:
    """What the models said at past origins, and what happened.

    Attributes:
        names: the models that answered at every origin.
        paths: model x origin x step.
        actual: origin x step; NaN where nothing is known, which is never scored.
    """

    names: tuple[str, ...]
    paths: Floats
    actual: Floats

    @property
    def errors(self) -> Floats:
        """What happened minus what was said: model x origin x step."""
        return np.asarray(self.actual - self.paths)


def origins(length: int, horizon: int, windows: int, step: int, shortest: int) -> list[int]:
    """Lengths of history to forecast from, oldest first: ``windows`` of them as far as ``shortest`` allows.

    The newest leaves exactly ``horizon`` values to score; each is ``step`` before the next.
    """
    newest = length - horizon
    return [origin for origin in range(newest - (windows - 1) * step, newest + 1, step) if origin >= shortest]


def backtest(past: Past, actual: Floats, models: Sequence[Model], starts: Sequence[int], horizon: int) -> Backtest:
    """Ask each model at each origin.

    Args:
        past: the whole history, filled; a model sees only what lies before its origin.
        actual: the same with NaN where nothing is known.
        models: those to ask. One that fails anywhere is left out.
        starts: `origins`.
        horizon: steps.
    """
    answers: dict[str, Floats] = {}
    for model in models:
        try:
            answers[model.name] = np.stack([said(model, past.until(start), horizon) for start in starts])
        except ValueError:
            continue
    happened = np.stack([actual[start : start + horizon] for start in starts])
    paths = np.stack(list(answers.values())) if answers else np.empty((0, *happened.shape))
    return Backtest(tuple(answers), paths, happened)


def said(model: Model, past: Past, horizon: int) -> Floats:
    """A model's forecast within the bounds of the past.

    Raises:
        ValueError: it has none, or not a finite one.
    """
    path = model.forecast(past, horizon)
    if not np.isfinite(path).all():
        raise ValueError(f"{model.name} has no finite forecast")
    return np.clip(path, past.floor, past.cap)
