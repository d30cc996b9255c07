"""What goes wrong, and when: a plan that follows from the seed, and the hand that carries it out."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_exporter.failpoints import POINTS

if TYPE_CHECKING:
    from tests.crash.ledger.houses import Town

#: Of each round every one happens once, in an order by chance.
KINDS: Final = (
    "receiver killed", "receiver killed", "receiver killed at a point", "receiver killed at a point",
    "receiver stopped (SIGTERM)", "receiver frozen", "receiver's disk full",
    "Collector killed",
    "ClickHouse killed", "ClickHouse frozen", "ClickHouse slow", "ClickHouse read-only", "ClickHouse's disk full",
    "ClickHouse's answers lost", "ClickHouse's answers lost",
)  # fmt: skip
_OF_CLICKHOUSE: Final = {
    "ClickHouse slow": "slow",
    "ClickHouse read-only": "readonly",
    "ClickHouse's disk full": "full",
    "ClickHouse's answers lost": "lost",
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: when (seconds from the beginning), to which receiver, for how long."""

    at: float
    kind: str
    receiver: int
    seconds: float
    point: str

    def __str__(self) -> str:
        which = f" {self.receiver}" if self.kind.startswith("receiver") else ""
        lasts = f" {self.point}" if "point" in self.kind else "" if "killed" in self.kind else f" {self.seconds:.1f} s"
        return f"{self.at:6.1f} s  {self.kind}{which}{lasts}"


def plan(seed: int, seconds: float, receivers: int, *, with_collector: bool, pace: float = 1.0) -> list[Fault]:
    """The faults of ``seconds``, about ``pace`` in 3.5 seconds; each kind once before any comes again."""
    rng = random.Random(f"plan {seed}")
    found: list[Fault] = []
    at = rng.uniform(1.0, 4.0)
    while True:
        kinds = [kind for kind in KINDS if with_collector or not kind.startswith("Collector")]
        rng.shuffle(kinds)
        for kind in kinds:
            point = f"{rng.choice(POINTS)}:{rng.randint(1, 6)}"
            found.append(Fault(at, kind, rng.randrange(receivers), rng.uniform(0.5, 6.0) / pace, point))
            at += rng.uniform(1.0, 6.0) / pace
            if at > seconds:
                return found


class Faults:
    """Injects a plan into a town while `run` runs; `heal` afterwards leaves nothing broken."""

    def __init__(self, town: Town, faults: list[Fault]) -> None:
        self._town, self._faults = town, faults
        self._healers: list[threading.Thread] = []
        self.injected: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Inject the plan at its times, until ``seconds`` are over."""
        began = time.monotonic()
        for fault in self._faults:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            self._inject(fault)
            self.injected[fault.kind] += 1
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    def heal(self) -> None:
        """Wait until nothing is broken any more."""
        for healer in self._healers:
            healer.join()

    def _inject(self, fault: Fault) -> None:
        town, receiver = self._town, self._town.receivers[fault.receiver]
        if fault.kind in _OF_CLICKHOUSE:
            self._later(lambda: self._fail(_OF_CLICKHOUSE[fault.kind], fault.seconds))
        elif fault.kind == "ClickHouse killed":
            town.engine.kill()
            self._later(lambda: (time.sleep(fault.seconds), town.engine.start()))
        elif fault.kind == "ClickHouse frozen":
            self._freeze(town.engine.process.pid if town.engine.process else 0, fault.seconds)
        elif fault.kind == "Collector killed":
            assert town.collector is not None
            town.collector.kill()
            self._later(lambda: (time.sleep(fault.seconds / 3), town.collector and town.collector.start()))
        elif fault.kind == "receiver frozen":
            self._freeze(receiver.pid, fault.seconds)
        elif fault.kind == "receiver's disk full":
            disk, pid = town.disks[fault.receiver], receiver.pid
            disk.fill(pid)
            self._later(lambda: (time.sleep(fault.seconds), disk.free(pid)))
        elif fault.kind == "receiver stopped (SIGTERM)":
            receiver.terminate()
        else:
            receiver.kill(fault.point if "point" in fault.kind else "")

    def _fail(self, kind: str, seconds: float) -> None:
        """ClickHouse may be frozen or dead at this moment: then it is so when it is back."""
        for _ in range(100):
            try:
                return self._town.engine.fail(kind, seconds)
            except OSError:
                time.sleep(0.2)
        return None

    def _freeze(self, pid: int, seconds: float) -> None:
        def thaw() -> None:
            time.sleep(seconds)
            _signal(pid, signal.SIGCONT)

        _signal(pid, signal.SIGSTOP)
        self._later(thaw)

    def _later(self, what: object) -> None:
        assert callable(what)
        thread = threading.Thread(target=what, daemon=True)
        thread.start()
        self._healers.append(thread)


def _signal(pid: int, number: int) -> None:
    import os

    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
