"""The ledger test, short: a fixed seed, every kind of fault once. `make ledger-test` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.ledger.faults import KINDS, plan
from tests.crash.ledger.run import run
from tests.e2e.collector import binary

SECONDS = 36.0
RATE = 20.0
#: Faults come so much faster than in the long run.
PACE = 1.7
SEED = int(os.environ.get("TEST_LEDGER_SEED", "20261121"))


@pytest.mark.e2e
@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_ledger_is_exact_whatever_is_killed(tmp_path: Path) -> None:
    """Clients, a Collector, two receivers, one ClickHouse, each tormented: nothing acknowledged is lost,
    nothing is charged twice, the sum of the costs and the rollups are exact to the last digit.
    """
    outcome = run(tmp_path, SECONDS, SEED, binary(), RATE, PACE)
    lines: list[str] = []
    assert outcome.report(lines.append) == 0, "".join(lines)
    assert set(outcome.injected) == set(KINDS), "not every kind of fault was injected"
    assert len(outcome.books.acknowledged) > SECONDS * RATE, "hardly anything was sent"


def test_a_seed_is_a_plan() -> None:
    """The same seed plans the same faults; another plans others."""
    plans = [plan(seed, 600.0, 2, with_collector=True) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert {fault.kind for fault in plans[0]} == set(KINDS)
