"""The scheduler of `serve`: jobs with an interval, each in a thread of its own.

The seam for whoever adds a job: make a `Job`, put it into the list in `otel_exporter.service._scheduled`. A job does
not overlap itself; what was missed (a slow run, a machine that slept) is caught up by one run, not by many; a run that
raises is logged and counted, and the next one comes in its time.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from otel_exporter.telemetry import Metric

log = structlog.get_logger(__name__)
#: The wall clock is looked at this often, because a machine that sleeps stops the other one.
_GLANCE: Final = 5.0
_LARGEST_JITTER: Final = 30.0


@dataclass(frozen=True)
class Job:
    """Something done every ``interval``, first when the service starts.

    Attributes:
        run: is told the time and an event that is set when the service stops; long work looks at it.
        delay: before the first run: what is heavy lets the service start first.
    """

    name: str
    interval: timedelta
    run: Callable[[datetime, threading.Event], None]
    delay: timedelta = timedelta()

    @property
    def offset(self) -> float:
        """Seconds after the full interval at which it runs: spreads jobs, the same in every life."""
        width = min(self.interval.total_seconds() / 10, _LARGEST_JITTER)
        return zlib.crc32(self.name.encode()) / 2**32 * width


class Scheduler:
    """Runs jobs until it is stopped."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stopping = threading.Event()
        self._failing: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, threading.Lock] = {}

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin with these."""
        for job in jobs:
            self._jobs[job.name] = job
            self._running[job.name] = threading.Lock()
            thread = threading.Thread(target=self._keep, args=(job,), name=f"job {job.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def run_now(self, *names: str) -> None:
        """Run these, one after the other, in the caller's thread; each waits until it does not run anyway."""
        for name in names:
            self._run(self._jobs[name])

    @property
    def names(self) -> tuple[str, ...]:
        """The jobs there are."""
        return tuple(self._jobs)

    def stop(self, patience: float) -> None:
        """Start nothing more, and wait for what runs, for at most ``patience`` seconds."""
        self._stopping.set()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def failing(self) -> frozenset[str]:
        """Jobs whose last run failed."""
        return frozenset(self._failing)

    def _keep(self, job: Job) -> None:
        due = self._clock() + job.delay.total_seconds()
        while self._wait_until(due):
            seen = self._clock()
            if (slept := missed(job, due, seen)) > 0:
                Metric.JOB_MISSED.add(slept, task=job.name)
            self._run(job)
            due = next_due(job, seen)

    def _wait_until(self, due: float) -> bool:
        """Sleep; False when the service stops. A clock that is put back meanwhile does not make it longer."""
        latest = time.monotonic() + max(0.0, due - self._clock())
        while (left := min(due - self._clock(), latest - time.monotonic())) > 0:
            if self._stopping.wait(min(left, _GLANCE)):
                return False
        return not self._stopping.is_set()

    def _run(self, job: Job) -> None:
        with self._running[job.name]:
            self._timed(job)

    def _timed(self, job: Job) -> None:
        began = time.monotonic()
        try:
            job.run(datetime.fromtimestamp(self._clock(), UTC), self._stopping)
        except Exception:
            self._failing.add(job.name)
            Metric.JOB_RUNS.add(task=job.name, outcome="failed")
            log.exception("a scheduled job failed", job=job.name)
        else:
            self._failing.discard(job.name)
            Metric.JOB_RUNS.add(task=job.name, outcome="ok")
            Metric.JOB_LAST_SUCCESS.set(self._clock(), task=job.name)
        Metric.JOB_SECONDS.add(time.monotonic() - began, task=job.name)


def next_due(job: Job, after: float) -> float:
    """The first moment after ``after`` at which the job is due: full intervals of the clock plus its offset."""
    seconds = job.interval.total_seconds()
    return ((after - job.offset) // seconds + 1) * seconds + job.offset


def missed(job: Job, due: float, now: float) -> int:
    """How many runs fell out between the one that was ``due`` and ``now``."""
    return int((now - due) // job.interval.total_seconds())
