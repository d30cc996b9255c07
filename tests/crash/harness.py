"""Kill a service again and again while a client sends and resends, and keep books outside of it.

The service is whatever `Service` starts: spool and writer alone (`tests.crash.child`) or the whole program. The harness
knows only that a life takes requests, acknowledges them or not, dies, and that afterwards its store can be read.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

PATIENCE = 30.0  # seconds a life may last before it counts as stuck


@dataclass(frozen=True)
class Request:
    """One export: a few spans, one call they observe. Its bytes are a function of it, so a resend is identical."""

    id: str
    spans: tuple[str, ...]
    call: str


class Life(Protocol):
    """One process of the service, ready to take requests."""

    torn: int  # spans it found in the base table and not in the view's target

    def send(self, request: Request) -> bool:
        """Whether the request was acknowledged; False when it was not, or the process died before it could."""
        ...

    def alive(self) -> bool:
        """Whether the process runs."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def drain(self) -> None:
        """Store everything and end; raises when it cannot."""
        ...


@dataclass(frozen=True)
class Stored:
    """What the store holds, read by a process that is not killed."""

    spans: dict[str, int]  # rows per span in the base table
    logs: dict[str, int]
    view: dict[str, int]  # rows per span that reached the view's target
    ledger: dict[str, tuple[int, list[str]]]  # per call: sum of signs, observations that the live entry knows
    rollups: list[str] = field(default_factory=list)  # those that are not what the ledger adds up to


class Service(Protocol):
    """Starts lives over one data directory."""

    def start(self, failpoint: str = "") -> Life:
        """A new life; with a failpoint it kills itself there, perhaps before it is ready (it is then not alive)."""
        ...

    def inspect(self) -> Stored:
        """Read the store; nobody else has it open."""
        ...


@dataclass(frozen=True)
class Death:
    """How a life ends: at a named point, or after some seconds."""

    point: str = ""
    after: float | None = None


@dataclass
class Books:
    """What the client knows: the oracle."""

    rng: random.Random
    acknowledged: dict[str, Request] = field(default_factory=dict)
    unanswered: dict[str, Request] = field(default_factory=dict)
    abandoned: dict[str, Request] = field(default_factory=dict)  # unanswered, and never sent again
    resent: int = 0
    torn: int = 0
    deaths: int = 0
    _issued: int = 0

    def next(self) -> Request:
        """Mostly something new; often something unanswered; now and then something acknowledged long ago."""
        dice = self.rng.random()
        if dice < 0.4 and self.unanswered:
            return self._again(self.unanswered)
        if dice > 0.85 and self.acknowledged:
            return self._again(self.acknowledged)
        self._issued += 1
        spans = tuple(f"{self._issued}.{n}" for n in range(self.rng.randint(1, 6)))
        return Request(f"r{self._issued}", spans, f"call-{self.rng.randint(1, 12)}")

    def _again(self, requests: dict[str, Request]) -> Request:
        self.resent += 1
        return self.rng.choice(list(requests.values()))

    def record(self, request: Request, acknowledged: bool) -> None:
        """What came of sending it."""
        if acknowledged:
            self.unanswered.pop(request.id, None)
            self.acknowledged[request.id] = request
        elif request.id not in self.acknowledged:
            self.unanswered[request.id] = request

    def abandon_some(self) -> None:
        """A client that gives up: what it sent may be stored or not, but never twice."""
        for request in [request for request in self.unanswered.values() if self.rng.random() < 0.2]:
            self.abandoned[request.id] = self.unanswered.pop(request.id)


def torment(service: Service, deaths: Sequence[Death], seed: int) -> tuple[Books, Stored]:
    """One life per death, all over the same data; then a last life that stores everything."""
    books = Books(random.Random(seed))
    for death in deaths:
        _live(service, death, books)
        books.abandon_some()
    last = service.start()
    books.torn += last.torn
    for request in [*books.unanswered.values(), *list(books.acknowledged.values())[-20:]]:
        assert last.send(request), "a life that is not killed acknowledges everything"
        books.record(request, acknowledged=True)
    last.drain()
    return books, service.inspect()


def _live(service: Service, death: Death, books: Books) -> None:
    life = service.start(death.point)
    books.torn += life.torn
    until = time.monotonic() + PATIENCE
    killer = threading.Timer(death.after, life.kill) if death.after is not None else None
    if killer:
        killer.start()
    try:
        while life.alive():
            assert time.monotonic() < until, f"{death} was never reached"
            request = books.next()
            books.record(request, life.send(request))
            time.sleep(books.rng.random() * 0.01)
    finally:
        if killer:
            killer.join()
        life.kill()
    books.deaths += 1


def verdict(books: Books, stored: Stored) -> list[str]:
    """Everything that is wrong; an empty list is a pass."""
    acknowledged = [span for request in books.acknowledged.values() for span in request.spans]
    abandoned = [span for request in books.abandoned.values() for span in request.spans]
    wrong = [f"{span}: {stored.spans.get(span, 0)} times" for span in acknowledged if stored.spans.get(span) != 1]
    wrong += [f"{span}: abandoned, {stored.spans[span]} times" for span in abandoned if stored.spans.get(span, 1) != 1]
    wrong += [f"{span}: never sent" for span in stored.spans.keys() - {*acknowledged, *abandoned}]
    wrong += _differences("log", stored.spans, stored.logs) + _differences("view", stored.spans, stored.view)
    wrong += [f"{rollup} is not the ledger's sum" for rollup in stored.rollups]
    return wrong + _ledger_faults(books, stored)


def _differences(name: str, base: dict[str, int], other: dict[str, int]) -> list[str]:
    return [f"{key}: {base.get(key)} in base, {other.get(key)} in {name}" for key in base.keys() | other.keys()
            if base.get(key) != other.get(key)]  # fmt: skip


def _ledger_faults(books: Books, stored: Stored) -> list[str]:
    """Each call has one live entry, and it knows exactly the requests whose spans are stored."""
    expected: dict[str, set[str]] = {}
    for request in [*books.acknowledged.values(), *books.abandoned.values()]:
        if request.spans[0] in stored.spans:
            expected.setdefault(request.call, set()).add(request.id)
    wrong = [f"{call}: not in the ledger" for call in expected.keys() - stored.ledger.keys()]
    for call, (signs, known) in stored.ledger.items():
        if signs != 1 or set(known) != expected.get(call, set()) or len(known) != len(set(known)):
            wrong.append(f"{call}: signs {signs}, knows {len(known)} of {len(expected.get(call, ()))}")
    return wrong


def in_parallel(tasks: Sequence[Callable[[], Books]], workers: int = 2) -> list[Books]:
    """Run tasks on a few threads; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]
