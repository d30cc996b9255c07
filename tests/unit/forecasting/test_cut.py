"""Ctrl-C in the middle of a fleet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from forecasting.run import run
from tests.unit.forecasting import cut_run

_SERIES = 36
_USAGE = """INSERT INTO otel.genai_rollup_hour (bucket, tenant, user_id, calls, cost_usd)
SELECT toDateTime('2026-11-16 00:00:00', 'UTC') - toIntervalHour(1 + number % 500) AS bucket, 'fleet',
    toString(intDiv(number, 500)) AS user_id, 5,
    toDecimal128(3 + 2 * sin(toHour(bucket) * pi() / 12) + number % 7 / 9, 12)
FROM numbers({rows:UInt64})"""
_STORED = "SELECT uniqExact(value) AS series, count() AS n FROM otel.genai_forecast"


def test_a_fleet_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    """An interrupt to every process, as a terminal sends it, ends them all; a rerun forecasts only what is missing."""
    with Store.embedded(tmp_path) as store:
        runner.apply(store)
        store.command(_USAGE, {"rows": _SERIES * 500})
    done = _interrupted(tmp_path)
    with Store.embedded(tmp_path) as store:
        kept = store.arrow(_STORED)["series"][0]
        assert done <= kept < _SERIES
        again = run(store, cut_run.ASKED, cut_run.WISH, workers=1)
        assert (again.earlier, len(again.forecasts)) == (kept, _SERIES - kept)
        assert store.arrow(_STORED).row(0) == (_SERIES, _SERIES * 24)


def _interrupted(directory: Path) -> int:
    """Start a run, interrupt its whole group once some series are done and workers are busy: how many were done."""
    command = [sys.executable, "-m", "tests.unit.forecasting.cut_run", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            done = int(line.split()[0])
            if done:
                break
        workers = _children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(120) != 0 and "finished" not in rest
    assert len(workers) >= 2
    _wait_until_gone(process.pid)
    return done


def _wait_until_gone(group: int) -> None:
    until = time.monotonic() + 60
    while _children(group):
        assert time.monotonic() < until, "processes outlive the run"
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    """The processes of its group that are still running."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            group = os.getpgid(int(entry.name))
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and group == parent and int(entry.name) != parent:
            found.append(int(entry.name))
    return found
