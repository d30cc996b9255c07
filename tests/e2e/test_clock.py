"""Somebody sets the machine's clock while `serve` runs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from benchmarks.stress import Traffic
from tests.e2e.clock import Clock
from tests.e2e.house import House, asked, serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
SPANS = 32
HOUR = 3600
STANDING = "SELECT (SELECT count() FROM otel_traces) AS spans, (SELECT sum(sign) FROM genai_ledger) AS calls"


def stored(house: House, spans: int) -> None:
    """Wait until so many spans are stored, and half as many calls stand."""
    house.wait_for(STANDING, lambda rows: (rows[0]["spans"], rows[0]["calls"]) == (spans, spans // 2))


def runs(house: House) -> int:
    """How often a job of every second has run."""
    return int(metric(house, 'tokentide_job_runs_total{outcome="ok",task="own metrics"}'))


def metric(house: House, series: str) -> float:
    """The value of a series; 0 when it has none."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", house.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forwards", "backwards"])
def test_the_clock_jumps_an_hour(tmp_path: Path, jump: int) -> None:
    """Before, after the jump and after it is undone: what is sent is stored once, resends are recognised, jobs go on,
    postings never go back in time, nothing expires, and a restart finds everything as it was.
    """
    clock, traffic = Clock(tmp_path), Traffic(SPANS)
    variables = clock.variables | {"TOKENTIDE_SELF_MONITORING__INTERVAL_SECONDS": "1"}
    with serving(tmp_path / "data", **variables) as house:
        bodies = [next(traffic)]
        house.send("/v1/traces", bodies[0])
        stored(house, SPANS)
        for moved in (jump, 0):
            clock.set(moved)
            done = runs(house)
            for body in bodies:
                house.send("/v1/traces", body)  # again: its sender never got our answer
            bodies.append(next(traffic))
            house.send("/v1/traces", bodies[-1])
            stored(house, SPANS * len(bodies))
            until = time.monotonic() + 90
            while runs(house) < done + 2:
                assert time.monotonic() < until, "jobs do not go on"
                time.sleep(0.2)
            assert house.get("/readyz")[0] == 200
            here = metric(house, 'tokentide_job_last_success_timestamp_seconds{task="own metrics"}')
            assert abs(here - time.time() - moved) < HOUR / 2, "its clock was to be moved, or this test proves nothing"
        posted = house.ask("SELECT DISTINCT posted_at FROM genai_ledger ORDER BY _block_number")
        moments = [row["posted_at"] for row in posted]
        assert moments == sorted(moments)
    clock.set(jump)
    with serving(tmp_path / "data", **variables) as house:
        house.send("/v1/traces", next(traffic))
        stored(house, SPANS * (len(bodies) + 1))
    rows = asked(tmp_path / "data", STANDING)
    assert (rows[0]["spans"], rows[0]["calls"]) == (SPANS * 4, SPANS * 2)
