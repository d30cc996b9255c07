"""One run: a town, clients, faults; then everything heals, everything is acknowledged, and the books are compared."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.crash.ledger.calls import beginning
from tests.crash.ledger.clients import Books, Clients, Route, by_grpc, by_http
from tests.crash.ledger.faults import Fault, Faults, plan
from tests.crash.ledger.houses import Town, town, wait
from tests.crash.ledger.verdict import Verdict, verdict
from tests.e2e.collector import binary

RECEIVERS: Final = 2
PATIENCE: Final = 300.0  # seconds until everything that was acknowledged is stored, once nothing is broken
#: They read the ledger and never write it, and take half a machine.
OFF: Final = {"TOKENTIDE_FORECAST__SCHEDULED": "false", "TOKENTIDE_ANOMALIES__ENABLED": "false"}


@dataclass
class Outcome:
    """What a run brought."""

    faults: list[Fault]
    injected: Counter[str]
    books: Books
    verdict: Verdict
    unacknowledged: int
    restarts: dict[str, int]
    seconds_to_drain: float
    mended: int

    def report(self, write: Callable[[str], object] = sys.stdout.write) -> int:
        """Print everything; the exit code."""
        write("faults injected\n")
        for kind, count in sorted(self.injected.items()):
            write(f"  {kind:43} {count:>20}\n")
        for name, starts in self.restarts.items():
            write(f"  {name + ' started':43} {starts:>20}\n")
        write("requests\n")
        for what, count in sorted((self.books.requests + self.books.by_route).items()):
            write(f"  {what:43} {count:>20,}\n")
        write(f"{self.verdict}\n{'calls mended after a race':45} {self.mended:>20}\n")
        write(f"{'seconds from healing to an empty spool':45} {self.seconds_to_drain:>20.1f}\n")
        for line in self.verdict.wrong[:20]:
            write(f"WRONG {line}\n")
        wrong = len(self.verdict.wrong) + self.unacknowledged
        write(f"{'EXACT' if not wrong else f'NOT EXACT: {wrong} faults'}\n")
        return 1 if wrong else 0


def run(folder: Path, seconds: float, seed: int, otelcol: Path | None, rate: float, pace: float = 1.0) -> Outcome:
    """Torment a town for ``seconds`` and judge it."""
    faults = plan(seed, seconds, RECEIVERS, with_collector=otelcol is not None, pace=pace)
    sys.stdout.write(f"seed {seed}, {seconds:g} s, {len(faults)} faults\n")
    sys.stdout.write("".join(f"  {fault}\n" for fault in faults))
    sys.stdout.flush()
    with town(folder, RECEIVERS, otelcol, **OFF) as made:
        clients = Clients(_routes(made), seed, beginning(), rate)
        clients.start()
        tormentor = Faults(made, faults)
        left = -1
        try:
            tormentor.run(seconds)
        finally:
            tormentor.heal()
            healed = time.monotonic()
            left = clients.finish(PATIENCE)
        mended = _settle(made, clients.books)
        drained = time.monotonic() - healed
        found = verdict(clients.books, made.engine)
        restarts = {receiver.name: receiver.starts for receiver in made.receivers}
        return Outcome(faults, tormentor.injected, clients.books, found, left, restarts, drained, mended)


def _routes(made: Town) -> dict[str, Route]:
    routes: dict[str, Route] = {}
    for receiver in made.receivers:
        routes[f"{receiver.name} HTTP"] = by_http(receiver.http)
        routes[f"{receiver.name} gRPC"] = by_grpc(receiver.grpc)
    if made.collector is not None:
        routes["Collector HTTP"] = by_http(made.collector.http)
        routes["Collector gRPC"] = by_grpc(made.collector.grpc)
    return routes


def _settle(made: Town, books: Books) -> int:
    """Wait until nothing is on its way: what the Collector holds, what the spools hold, what is being mended."""
    wanted = len(books.acknowledged)

    def arrived() -> bool:
        if any(receiver.spooled() for receiver in made.receivers):
            return False
        names = set(made.engine.ask("SELECT DISTINCT SpanName FROM otel_traces FORMAT TSV").splitlines())
        return len(books.acknowledged & names) == wanted

    try:
        wait(arrived, PATIENCE, "not everything acknowledged is stored")
    except AssertionError as late:
        sys.stdout.write(f"{late}\n")
    time.sleep(5.0)  # what was posted last is looked at once more
    wait(lambda: not any(receiver.spooled() for receiver in made.receivers), PATIENCE, "the spools do not empty")
    return int(sum(receiver.metric("tokentide_mended_calls_total") for receiver in made.receivers))


def collector_or_none() -> tuple[Path | None, str]:
    """The Collector's binary, built now if it can be; else why not."""
    try:
        return binary(), ""
    except pytest.skip.Exception as missing:
        return None, str(missing)
