"""The picture in characters."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from forecasting.picture import View, text
from tests.unit.forecasting.made import START


@pytest.mark.parametrize("width", [20, 61, 100, 400])
@pytest.mark.parametrize(("known", "ahead"), [(1, 35), (105, 35), (500, 168), (3, 1)])
def test_happened_and_foreseen_are_told_apart(width: int, known: int, ahead: int) -> None:
    """At any width, what happened lies left of what is foreseen, both are there, and no chart line is too wide."""
    moments = [START + timedelta(days=day) for day in range(known + ahead)]
    future = np.full(ahead, 4.0)
    view = View("t", "c", "u", moments[:known], np.full(known, 5.0), moments[known:], future, future - 1, future + 2)
    lowest = text(view, width).splitlines()[13]
    bars = lowest.partition("│")[2]
    assert bars.strip("█").strip("▒") == ""
    assert bars.startswith("█") and bars.endswith("▒")
    assert len(lowest) <= max(width, 22)
