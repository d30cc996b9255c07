"""The clients: they send, send again, regroup, reorder, give up; and they keep the books, which nobody kills."""

from __future__ import annotations

import heapq
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import grpc

from tests.crash.ledger.calls import Call, Piece, request

TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#: Sends an export; whether it was acknowledged.
Route = Callable[[bytes], bool]
_TIMEOUT: Final = 15.0


@dataclass
class Books:
    """What the clients know. A piece is acknowledged when any request that held it was."""

    calls: list[Call] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    abandoned: set[str] = field(default_factory=set)  # given up before any acknowledgement: stored or not
    requests: Counter[str] = field(default_factory=Counter)  # what was sent, by what came of it
    by_route: Counter[str] = field(default_factory=Counter)
    often: Counter[str] = field(default_factory=Counter)  # different requests a piece was in, by the door they came to
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _Parcel:
    """A request on its way: the same bytes until somebody acknowledges them."""

    pieces: tuple[Piece, ...]
    route: str
    resends: int = 0  # acknowledged copies still to be sent
    failures: int = 0
    acknowledged: bool = False
    doors: set[str] = field(default_factory=set)  # where it was offered: each knows again only what it has seen itself
    content: bytes = b""

    def __post_init__(self) -> None:
        self.content = request(self.pieces)


class Clients:
    """Threads that send until told to stop, and afterwards everything that nobody has acknowledged.

    Args:
        routes: by name; all lead to the same ledger in the end.
        seed: of everything random here.
        base: when the world of the calls began.
        rate: new calls a second.
    """

    def __init__(self, routes: Mapping[str, Route], seed: int, base: int, rate: float, workers: int = 6) -> None:
        self.books = Books()
        self._routes, self._seed, self._base, self._rate = dict(routes), seed, base, rate
        self._rng = random.Random(seed)
        self._due: list[tuple[float, int, _Parcel]] = []
        self._ticket = 0
        self._under_way = 0
        self._changed = threading.Condition(self.books.lock)
        self._producing, self._ended = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._send, name=f"client-{n}") for n in range(workers)]
        self._threads.append(threading.Thread(target=self._produce, name="producer"))

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def finish(self, patience: float) -> int:
        """No new calls; wait until everything is acknowledged. How many requests are not, when patience ends."""
        self._producing.set()
        until = time.monotonic() + patience
        with self._changed:
            for place, (_, ticket, parcel) in enumerate(self._due):
                self._due[place] = (0.0, ticket, parcel)
            heapq.heapify(self._due)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._due and not self._under_way, max(0.0, until - time.monotonic()))
            left = len(self._due) + self._under_way
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        return left

    def _produce(self) -> None:
        """New calls; their spans leave in any order, grouped by chance, up to some seconds apart."""
        waiting: list[Piece] = []
        while not self._producing.wait(self._rng.uniform(0.5, 1.5) / self._rate * 4):
            with self._changed:
                for _ in range(4):
                    call = Call(self._seed, len(self.books.calls), self._base)
                    self.books.calls.append(call)
                    waiting += [Piece(call, part) for part in call.parts]
                self._rng.shuffle(waiting)
                while len(waiting) > self._rng.randint(0, 20):
                    size = self._rng.randint(1, 8)
                    self._post(waiting[:size], self._rng.expovariate(1.0))
                    del waiting[:size]
        with self._changed:
            if waiting:
                self._post(waiting, 0.0)

    def _post(self, pieces: list[Piece], after: float) -> None:
        """Put a new request on its way; the lock is held."""
        resends = self._rng.choice((0, 0, 0, 0, 1, 3))
        self._queue(_Parcel(tuple(pieces), self._rng.choice(list(self._routes)), resends), after)

    def _queue(self, parcel: _Parcel, after: float) -> None:
        self._ticket += 1
        heapq.heappush(self._due, (time.monotonic() + after, self._ticket, parcel))
        self._changed.notify()

    def _next(self) -> _Parcel | None:
        with self._changed:
            while not self._ended.is_set():
                wait = self._due[0][0] - time.monotonic() if self._due else 1.0
                if wait <= 0:
                    self._under_way += 1
                    return self._at_door(heapq.heappop(self._due)[2])
                self._changed.wait(min(wait, 1.0))
        return None

    def _at_door(self, parcel: _Parcel) -> _Parcel:
        door = parcel.route.split()[0]
        if door not in parcel.doors:
            parcel.doors.add(door)
            self.books.often.update({piece.id for piece in parcel.pieces})
        return parcel

    def _send(self) -> None:
        while (parcel := self._next()) is not None:
            acknowledged = self._routes[parcel.route](parcel.content)
            with self._changed:
                self._under_way -= 1
                self._settle(parcel, acknowledged)
                self._changed.notify_all()

    def _settle(self, parcel: _Parcel, acknowledged: bool) -> None:
        books, rng = self.books, self._rng
        books.requests["acknowledged" if acknowledged else "not acknowledged"] += 1
        if acknowledged:
            self._acknowledged(parcel)
        elif parcel.acknowledged:  # a copy of what is known to be stored
            pass
        elif not self._producing.is_set() and parcel.failures > 2 and rng.random() < 0.05:
            books.requests["given up"] += 1
            books.abandoned |= {piece.id for piece in parcel.pieces}
        else:
            parcel.failures += 1
            self._queue(parcel, min(3.0, 0.1 * 2**parcel.failures) * rng.random())

    def _acknowledged(self, parcel: _Parcel) -> None:
        books, rng = self.books, self._rng
        if not parcel.acknowledged:
            books.by_route[parcel.route] += 1
            books.acknowledged |= {piece.id for piece in parcel.pieces}
            if not self._producing.is_set() and rng.random() < 0.1:  # as other exports, with other neighbours
                again = list(parcel.pieces)
                rng.shuffle(again)
                books.requests["regrouped"] += 1
                for place in range(0, len(again), 3):
                    self._post(again[place : place + 3], rng.uniform(0.0, 8.0))
        parcel.acknowledged = True
        if parcel.resends and not self._producing.is_set():
            parcel.resends -= 1
            books.requests["sent again"] += 1
            parcel.route = rng.choice(list(self._routes))
            self._queue(parcel, rng.uniform(0.0, 5.0))


def by_http(port: int) -> Route:
    """OTLP/HTTP on this machine, a connection a request."""

    def send(content: bytes) -> bool:
        headers = {"Content-Type": "application/x-protobuf"}
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as connection:
                connection.request("POST", "/v1/traces", content, headers)
                return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    return send


def by_grpc(port: int) -> Route:
    """OTLP/gRPC on this machine; one channel, as an SDK has."""
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
    export = channel.unary_unary(TRACES)

    def send(content: bytes) -> bool:
        try:
            export(content, timeout=_TIMEOUT)
        except grpc.RpcError:
            return False
        return True

    return send
