"""One forecast out of several: each model counts as much as its backtest earned."""

from __future__ import annotations

from typing import Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.backtest import Backtest

#: Between averaging all (0) and taking the best (infinity); flat between 2 and 8 on M4.
_SHARPNESS: Final = 4.0
#: A model that counts less than this is left out and need not be fitted again.
_LEAST: Final = 0.02


def weights(errors: Floats) -> Floats:
    """One weight per model; they sum to 1.

    Args:
        errors: model x origin x step, NaN where nothing is known. Weights fall with the fourth power of the mean
            absolute error; models without any merit beside the best get none.
    """
    size = np.nanmean(np.abs(errors), axis=(1, 2))
    relative = (size + 1e-12) / (size.min() + 1e-12)
    raw = relative**-_SHARPNESS
    raw = np.where(raw / raw.sum() < _LEAST, 0.0, raw)
    return np.asarray(raw / raw.sum())


def honest_errors(test: Backtest) -> Floats:
    """The blend's errors (origin x step), each origin with weights that only the others earned."""
    errors = test.errors
    if errors.shape[1] == 1:
        return np.asarray(np.tensordot(weights(errors), errors, axes=1))
    rows = []
    for origin in range(errors.shape[1]):
        rest = np.delete(errors, origin, axis=1)
        usable = np.isfinite(rest).any()
        earned = weights(rest if usable else errors)
        rows.append(np.tensordot(earned, errors[:, origin], axes=1))
    return np.stack(rows)
