"""Foresight in a service: the process apart, and the settings it follows."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from forecasting.apart import Apart, Batch, Stopped
from forecasting.frequency import DAY
from forecasting.rollups import AXES, Question
from forecasting.series import Key, Series
from otel_exporter.config.budgets import BudgetSettings
from otel_exporter.config.foresight import SeriesAxis
from otel_exporter.config.load import load
from otel_exporter.foresight import budget
from otel_exporter.schedule import Job, Scheduler

_NOW = datetime(2026, 11, 16, tzinfo=UTC)


def _batch(*days: int, horizon: int = 35) -> Batch:
    values = [np.arange(length, dtype=np.float64) % 7 + 1 for length in days]
    series = [
        Series(Key("t", "cost_usd", "team", str(n)), DAY, _NOW - len(one) * DAY.step, one)
        for n, one in enumerate(values)
    ]
    return Batch(Question(_NOW, "team", "cost_usd", DAY), "run", horizon, series, [False] * len(series))


def test_forecasts_come_from_another_process() -> None:
    """Two batches are answered as rows of the table by one process; a series nothing is known of costs only itself;
    afterwards the process is gone."""
    with Apart(threading.Event()) as apart:
        first = apart.ask(_batch(70, 0, 14))
        assert first.rows is not None and first.rows.height == 70 and first.forecasts == 2
        assert list(first.failed) == ["team 1"]
        process = apart._process
        assert apart.ask(_batch(28)).forecasts == 1 and apart._process is process
    assert process is not None and process.poll() is not None


def test_a_service_that_stops_does_not_wait() -> None:
    """With the event set, a batch that would take minutes is given up within seconds."""
    stopping = threading.Event()
    stopping.set()
    began = time.monotonic()
    with pytest.raises(Stopped), Apart(stopping) as apart:
        apart.ask(_batch(*[700] * 400))
    assert time.monotonic() - began < 30


def test_a_dead_process_is_an_error() -> None:
    """A forecasting process that was killed is a failed job, not a hanging one."""
    with Apart(threading.Event()) as apart:
        apart.ask(_batch(14))
        assert apart._process is not None
        apart._process.kill()
        apart._process.wait()
        with pytest.raises(RuntimeError, match="died"):
            apart.ask(_batch(14))


def test_axes_are_those_of_the_rollups() -> None:
    """The configuration takes exactly the axes that can be forecast."""
    assert get_args(SeriesAxis) == AXES


def test_a_custom_budget_is_one_in_its_time_only() -> None:
    """Before its first day and after its last one there is none; on the last evening there still is."""
    said = BudgetSettings(
        name="launch", period="custom", start=date(2026, 11, 1), end=date(2026, 11, 16), soft_usd=Decimal(5)
    )
    assert budget(said, "t", datetime(2026, 10, 31, 23, 59, tzinfo=UTC)) is None
    found = budget(said, "t", datetime(2026, 11, 16, 23, 59, tzinfo=UTC))
    assert found is not None and found.limit == 5 and found.span.length == timedelta(days=16)
    assert budget(said, "t", datetime(2026, 11, 17, tzinfo=UTC)) is None


def test_every_fault_of_budgets_at_once(tmp_path: Path) -> None:
    """Limits, labels, dates, zones, names and unknown keys: each fault with its path, all in one go."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "budgets:\n"
        "  - {name: month, labels: {teem: x}, period: custom, start: 2026-11-01, hard_usd: 3, soft_usd: 5,\n"
        "     timezone: Mars}\n"
        "  - {name: all, period: week, end: 2026-01-01}\n"
        "  - {name: all, hard_usd: -1, labels: {team: ''}, foo: 1}\n"
        "  - {name: late, period: custom, start: 2026-11-02, end: 2026-11-01, hard_usd: 1}\n"
    )
    with pytest.raises(Exception, match=r"budgets") as caught:
        load(file)
    told = str(caught.value)
    for path in ("0.name", "0.labels.teem", "0.end", "0.soft_usd", "0.timezone", "1.end", "1.hard_usd", "2.hard_usd",
                 "2.labels.team", "2.foo", "3.end"):  # fmt: skip
        assert f"budgets.{path} " in told, path


def test_a_name_is_one_budget(tmp_path: Path) -> None:
    """Two budgets of a name in one tenant are a fault; in two tenants they are not."""
    file = tmp_path / "c.yaml"
    file.write_text("budgets: [{name: a, hard_usd: 1}, {name: a, hard_usd: 1, tenant: other}]\n")
    assert len(load(file).settings.budgets) == 2
    file.write_text("budgets: [{name: a, hard_usd: 1}, {name: a, hard_usd: 1, tenant: default}]\n")
    with pytest.raises(Exception, match=r"budgets\.1\.name"):
        load(file)


def test_a_job_can_be_run_now_and_begin_later() -> None:
    """A delayed job has not run; asked to, it runs in the caller's thread, and waits for a run that is going on."""
    running, ran = threading.Lock(), []

    def work(_now: datetime, _stopping: threading.Event) -> None:
        assert running.acquire(blocking=False)
        time.sleep(0.05)
        ran.append(threading.current_thread().name)
        running.release()

    scheduler = Scheduler()
    scheduler.start(
        [Job("late", timedelta(hours=1), work, timedelta(hours=1)), Job("busy", timedelta(seconds=0.01), work)]
    )
    try:
        assert scheduler.names == ("late", "busy")
        scheduler.stop(5)
        ran.clear()
        threads = [threading.Thread(target=scheduler.run_now, args=("late",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ran) == 3 and not scheduler.failing
    finally:
        scheduler.stop(5)
