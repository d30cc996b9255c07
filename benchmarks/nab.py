"""The scoring rule of the Numenta Anomaly Benchmark, and its files.

The rule is of Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark",
ICMLA 2015 (arXiv:1510.03336), section III, with the constants of the reference implementation (github.com/numenta/NAB,
``nab/sweeper.py`` and ``config/profiles.json``): a probationary start of 15 % (of at most 5,000 rows) that is not
scored; the earliest detection in a labelled window counts, by a sigmoid of its place in it, scaled to 1 at the window's
first row; every detection outside counts against, by the same sigmoid of its distance past the window before it; a
window nobody detected costs the weight of a false negative. One threshold for all files, the one with the best sum.
The sum is normalised: 0 is what a detector scores that never detects, 100 what one scores that detects every window at
its first row and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PROBATION: Final = 0.15
_PROBATION_ROWS: Final = 5000
#: Weights of true positives, false positives and false negatives.
PROFILES: Final = {
    "standard": (1.0, 1.0, 1.0),
    "reward_low_fp": (1.0, 2.0, 0.5),
    "reward_low_fn": (1.0, 0.5, 2.0),
}


@dataclass(frozen=True)
class File:
    """A series with its labelled windows as (first row, last row)."""

    name: str
    times: list[datetime]
    values: Floats
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """Rows at the start that are not scored."""
        return int(min(PROBATION * len(self.values), PROBATION * _PROBATION_ROWS))


def read(directory: Path) -> list[File]:
    """Every labelled file below ``directory``, which holds ``windows.json``."""
    labels = json.loads((directory / "windows.json").read_text())
    return [_read(directory, name, windows) for name, windows in sorted(labels.items())]


def _read(directory: Path, name: str, windows: Sequence[tuple[str, str]]) -> File:
    rows = pl.read_csv(directory / name, schema_overrides={"value": pl.Float64}, try_parse_dates=True)
    times = [moment.replace(tzinfo=None) for moment in rows["timestamp"].to_list()]
    # Two series have a daylight saving hour twice: the first row of that time is meant, as with list.index.
    place = {moment: row for row, moment in reversed(list(enumerate(times)))}
    limits = [(place[_time(begin)], place[_time(end)]) for begin, end in windows]
    return File(name, times, rows["value"].to_numpy().astype(np.float64), limits)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")


def _sigmoid(position: Floats) -> Floats:
    """1 at the far left, 0 at the right edge of a window, -1 far past it."""
    scaled = 2 / (1 + np.exp(np.clip(5 * position, -50, 50))) - 1
    return np.where(position >= 3.0, -1.0, scaled)


def _gains(file: File) -> tuple[Floats, NDArray[np.int64]]:
    """What a detection in each row is worth before weights, and the window each row lies in (-1: none)."""
    rows = np.arange(len(file.values))
    window = np.full(len(rows), -1)
    position = np.full(len(rows), 3.0)
    for number, (first, last) in enumerate(file.windows):
        width = last - first + 1
        inside = (rows >= first) & (rows <= last)
        after = rows > last
        position[after] = (rows[after] - last) / max(width - 1, 1)
        position[inside] = -(last - rows[inside] + 1) / width
        window[inside] = number
    worth = _sigmoid(position)
    return np.where(window >= 0, worth / _sigmoid(np.array([-1.0])), worth), window


def sweep(files: Sequence[File], scores: Mapping[str, Floats], profile: str) -> tuple[Floats, Floats]:
    """Every threshold from high to low, first one that nothing reaches, and the corpus's sum at each."""
    hit, false, missed = PROFILES[profile]
    changes: list[tuple[Floats, Floats]] = []
    base = 0.0
    for file in files:
        gains, window = _gains(file)
        mine = np.asarray(scores[file.name], dtype=np.float64)
        scored = np.arange(len(mine)) >= file.probation
        outside = scored & (window < 0)
        changes.append((mine[outside], false * gains[outside]))
        for number in range(len(file.windows)):
            inside = scored & (window == number)
            if not inside.any():
                continue
            base -= missed
            changes.append(_rises(mine[inside], hit * gains[inside], missed))
    points = np.concatenate([score for score, _ in changes])
    amounts = np.concatenate([amount for _, amount in changes])
    order = np.argsort(-points, kind="stable")
    sums = base + np.cumsum(amounts[order])
    last = np.append(np.diff(points[order]) != 0, True)
    return np.append(np.inf, points[order][last]), np.append(base, sums[last])


def _rises(scores: Floats, gains: Floats, missed: float) -> tuple[Floats, Floats]:
    """What each row of a window adds when the threshold falls to its score: only the best gain so far counts."""
    order = np.lexsort((-gains, -scores))
    best = np.maximum.accumulate(np.maximum(gains[order], -missed))
    return scores[order], np.diff(best, prepend=-missed)


@dataclass(frozen=True)
class Result:
    """A detector's normalised score, and the threshold it was scored with."""

    score: float
    threshold: float


def score(
    files: Sequence[File], scores: Mapping[str, Floats], profile: str = "standard", threshold: float | None = None
) -> Result:
    """The normalised score with the best threshold for all files, or with the one given."""
    thresholds, sums = sweep(files, scores, profile)
    hit, _, missed = PROFILES[profile]
    windows = sum(len(file.windows) for file in files)
    null, perfect = -missed * windows, hit * windows
    place = int(np.argmax(sums)) if threshold is None else int(np.sum(thresholds >= threshold)) - 1
    return Result(100 * float(sums[place] - null) / (perfect - null), float(thresholds[place]))
