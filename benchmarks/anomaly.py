"""NAB's scores of the anomaly detector as it ships, and of two others on the same files.

``python -m benchmarks.anomaly DIRECTORY``, the directory holding ``windows.json`` and the files it names. The others
are NAB's windowed Gaussian (window 1,000, as there; the tail probability as its logarithm, which does not saturate),
and Half-Space Trees of `river` (Tan, Ting and Liu, IJCAI 2011) over the last ten values. Every detector has one set of
parameters for all files, raises an alarm again within a day only when it grows, and gets the one threshold that is best
for it, as the rule wants.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import log_ndtr

from benchmarks import nab
from forecasting.anomalies.novelty import THRESHOLD, first_of_each, novelty

_WINDOW: Final = 1000
_LAST: Final = 10


def per_day(file: nab.File) -> int:
    """Rows a day, from the median distance of the first rows: nothing later is looked at."""
    seconds = np.diff([moment.timestamp() for moment in file.times[: file.probation]])
    return max(1, round(86400 / float(np.median(seconds))))


def ours(file: nab.File) -> nab.Floats:
    """Novelty, as it ships."""
    return novelty(file.values, per_day(file)).score


def windowed_gaussian(file: nab.File) -> nab.Floats:
    """NAB's ``windowedGaussian``: the two-sided tail of a normal distribution over the last values."""
    values, scores = file.values, np.zeros(len(file.values))
    for place in range(1, len(values)):
        window = values[max(0, place - _WINDOW) : place]
        scores[place] = -log_ndtr(-abs(values[place] - window.mean()) / (window.std() or 1e-6))
    return scores


def half_space_trees(file: nab.File) -> nab.Floats:
    """River's online forest. It wants values from 0 to 1: the range of the unscored start is the middle third,
    so nothing later is looked at and there is room for what was never seen.
    """
    from river.anomaly import HalfSpaceTrees

    start = file.values[: file.probation]
    low, width = float(start.min()), float(np.ptp(start)) or 1.0
    model = HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=1)
    last, scores = deque([0.0] * _LAST, maxlen=_LAST), np.zeros(len(file.values))
    for place, value in enumerate(np.clip((file.values - low + width) / (3 * width), 0, 1)):
        last.append(float(value))
        seen = dict(enumerate(last))
        scores[place] = model.score_one(seen)
        model.learn_one(seen)
    return scores


DETECTORS: Final[Mapping[str, Callable[[nab.File], nab.Floats]]] = {
    "windowed Gaussian": windowed_gaussian,
    "river HalfSpaceTrees": half_space_trees,
    "ours": ours,
}


def main(directory: Path) -> None:
    """Print a line per detector, ours per file, and the last line."""
    files = nab.read(directory)
    null = {file.name: np.zeros(len(file.values)) for file in files}
    perfect = {file.name: np.isin(np.arange(len(file.values)), [w[0] for w in file.windows]) * 1.0 for file in files}
    print(f"{len(files)} files, {sum(len(file.windows) for file in files)} windows")
    for name, scores in (("null", null), ("perfect", perfect)):
        print(f"{name:22s}", _line({p: nab.score(files, scores, p, 0.5) for p in nab.PROFILES}))
    for name, detect in DETECTORS.items():
        begin = time.perf_counter()
        scores = {file.name: first_of_each(detect(file), per_day(file)) for file in files}
        seconds = time.perf_counter() - begin
        results = {profile: nab.score(files, scores, profile) for profile in nab.PROFILES}
        print(f"{name:22s}", _line(results), f"threshold={results['standard'].threshold:.3g} seconds={seconds:.1f}")
    shipped = nab.score(files, scores, threshold=THRESHOLD).score
    print(f"ours at the shipped threshold of {THRESHOLD}: standard={shipped:.1f}")
    for file in files:
        print(f"  {nab.score([file], scores, threshold=THRESHOLD).score:7.1f}  {file.name}")
    print(_line(results))


def _line(results: Mapping[str, nab.Result]) -> str:
    return " ".join(f"{profile}={result.score:.1f}" for profile, result in results.items())


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "windows.json").exists():
        sys.exit("usage: make bench-anomaly DATA=<directory with windows.json>")
    main(Path(sys.argv[1]))
