"""The outage and the overload of `make outage-test` and `make overload-test`, small."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.outage import outage
from benchmarks.overload import overload

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]
MIB = 2**20


def test_an_outage_loses_nothing_and_costs_no_memory(tmp_path: Path) -> None:
    """What is acknowledged while ClickHouse is dead is on disk, not in memory; all of it is stored, once."""
    found = outage(tmp_path, 40_000, size=256)
    assert found.acknowledged >= 40_000 and found.is_exact, f"{found}"
    assert found.spool > 100 * found.acknowledged, "the spool held it"
    first, second = found.down.halves
    assert second - first < 200 * MIB, f"memory grows with the spool: {found.down.seen}"
    assert found.draining.most() - second < 500 * MIB, f"draining takes too much memory: {found.draining.seen}"


def test_an_overload_is_put_off_and_passes(tmp_path: Path) -> None:
    """At five times its capacity it answers RetryLater, stays alive and bounded, goes on storing, and recovers."""
    found = overload(tmp_path, 6.0)
    assert found.restarts == 0
    assert found.answers["503 with Retry-After"] > 0
    assert found.answers["503"] == 0, "a put-off request is told when to come back"
    assert set(found.answers) <= {"200", "503 with Retry-After", "TimeoutError"}
    assert found.goodput > 0.1 * found.capacity, f"{found}"
    assert found.rss_peak < 3 * 1024 * MIB, f"{found}"
    assert found.recovered < 120
