"""The scheduler: on time, never twice at once, one run after a sleep, failures that stop nothing."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.schedule import Job, Scheduler, missed, next_due


def _nothing(_now: datetime, _stopping: threading.Event) -> None:
    pass


@given(st.text(max_size=10), st.integers(1, 86_400), st.floats(0, 4e9))
def test_the_next_run_is_within_one_interval(name: str, seconds: int, now: float) -> None:
    """A job is due after now, at most one interval later, at the same offset of every interval."""
    job = Job(name, timedelta(seconds=seconds), _nothing)
    due = next_due(job, now)
    assert now < due <= now + seconds + 1e-3
    assert 0 <= job.offset <= min(30, seconds / 10)


@given(st.integers(1, 3600), st.floats(0, 1e6))
def test_a_sleep_costs_runs_and_brings_back_one(seconds: int, slept: float) -> None:
    """What was missed is counted: the whole intervals between the due run and now."""
    job = Job("job", timedelta(seconds=seconds), _nothing)
    assert missed(job, 1000.0, 1000.0 + slept) == int((1000.0 + slept - 1000.0) // seconds)


def test_a_slow_job_does_not_overlap_and_a_failing_one_goes_on() -> None:
    """A run that takes longer than its interval is never started twice; one that raises runs again, and is named."""
    running, most, failed = [0], [0], threading.Event()
    runs = []

    def slow(now: datetime, stopping: threading.Event) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        runs.append(now)
        time.sleep(0.12)
        running[0] -= 1

    def failing(now: datetime, stopping: threading.Event) -> None:
        if "failing" in scheduler.failing:
            failed.set()
        raise ValueError

    scheduler = Scheduler()
    scheduler.start([Job("slow", timedelta(seconds=0.05), slow), Job("failing", timedelta(seconds=0.05), failing)])
    assert failed.wait(30)
    until = time.monotonic() + 30
    while len(runs) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    scheduler.stop(10)
    count = len(runs)
    time.sleep(0.2)
    assert most == [1] and len(runs) == count >= 3
    assert scheduler.failing == {"failing"}


def test_a_machine_that_slept_is_caught_up_by_one_run() -> None:
    """When the clock jumps two hours, a job of a minute runs once and then waits for its time again."""
    clock = [1_000_000.0]
    runs = []
    scheduler = Scheduler(lambda: clock[0])
    scheduler.start([Job("job", timedelta(minutes=1), lambda now, _: runs.append(now))])
    _until(lambda: len(runs) == 1)
    clock[0] += 7200
    _until(lambda: len(runs) == 2)
    time.sleep(0.2)
    scheduler.stop(10)
    assert len(runs) == 2


def test_a_clock_put_back_does_not_stop_the_jobs() -> None:
    """When the clock is set back by an hour, a job of a second goes on in its second, and not after that hour."""
    moved = [0.0]
    runs = []
    scheduler = Scheduler(lambda: time.time() + moved[0])
    scheduler.start([Job("job", timedelta(seconds=1), lambda now, _: runs.append(now))])
    _until(lambda: len(runs) == 1)
    moved[0] = -3600.0
    _until(lambda: len(runs) == 3)
    scheduler.stop(10)
    assert runs[2] < runs[0]


def _until(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
