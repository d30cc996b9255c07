"""The pipeline between receivers and spool: requests wait here for the group they are committed with.

One thread commits; what arrives meanwhile forms the next group. `accept` returns when the request is durable. When
several were answered together, the next group waits a moment for them to come back: a group costs about 50 ms of CPU
before its first span, and without that moment the first to be back has a group of its own and all others wait for it
(measured with eight senders: every second group had one request, a fifth less was stored per second of CPU).

No more may wait than is committed in time: how fast that goes is measured, and whoever would wait longer is asked to
retry at once. A queue without such a bound answers nobody in time as soon as more comes than it can take: everything in
it is too old when its turn comes (measured at five times the capacity: a ninth of the goodput, 35 s to recover).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from otel_exporter.commit import GroupCommit, Key, Outcomes, Request
from otel_exporter.failpoints import reach
from otel_exporter.failures import Reason, RetryLater
from otel_exporter.telemetry import Metric

if TYPE_CHECKING:
    from otel_exporter.spool import Spool
    from processors.batch import Signal

log = structlog.get_logger(__name__)
ACK_SECONDS: Final = 5.0
MAX_GROUP_BYTES: Final = 32 * 1024 * 1024
#: Of the time in which a request has to be acknowledged: how long one group may take, and how long all that waits.
_GROUP_SHARE: Final = 0.2
_QUEUE_SHARE: Final = 0.6
#: Seconds that senders have to come back, and what part of the last group's time that may be.
_MOMENT: Final = 0.1
_MOMENT_SHARE: Final = 0.3


class Pace:
    """Bytes a second that are committed: believed at once when it is more than thought, slowly when it is less."""

    def __init__(self, first: float = 32 * 2**20, least: float = 256 * 2**10) -> None:
        self.bytes_a_second = first
        self._least = least

    def committed(self, size: int, seconds: float, *, backlog: bool) -> None:
        """A group is done. A small one says little about large ones, so less counts only while others wait."""
        measured = size / max(seconds, 1e-3)
        if measured > self.bytes_a_second:
            self.bytes_a_second = (self.bytes_a_second + measured) / 2
        elif backlog:
            self.bytes_a_second = max(self._least, 0.7 * self.bytes_a_second + 0.3 * measured)


@dataclass
class _Waiting:
    """A request in the queue and how many wait for its outcome."""

    request: Request
    future: Future[None]
    waiters: int = 1


class Pipeline:
    """The sink of the receivers."""

    def __init__(self, commit: GroupCommit, spool: Spool, *, ack_seconds: float = ACK_SECONDS) -> None:
        self._commit = commit
        self._spool = spool
        self._ack_seconds = ack_seconds
        self._pace = Pace()
        self._waiting: dict[Key, _Waiting] = {}
        self._waiting_bytes = 0
        self._working: dict[Key, _Waiting] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._moment = 0.0  # seconds the next group waits for senders that were just answered; 0 when it was one
        self._expected = 0  # bytes that wait when all of them are back
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)

    def start(self) -> None:
        """Start committing."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, then stop; whoever comes later is asked to retry."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def accept(self, signal: Signal, tenant: str, body: bytes) -> None:
        """Return when the request is durable.

        Raises:
            RetryLater: too much waits, too late, spool full, or stopping. A retry of the same bytes is never
                stored twice.
            Refused: it can never be stored.
        """
        request = Request(signal, tenant, body)
        done = asyncio.wrap_future(self.submit(request))
        done.add_done_callback(_seen)  # whoever waited may have gone: nobody else will look at its failure
        try:
            await asyncio.wait_for(asyncio.shield(done), self._ack_seconds)
        except TimeoutError:
            sentence = f"not committed within {self._ack_seconds:g} seconds, send it again"
            slow = RetryLater(Reason.SLOW, sentence, delay=1.0)
            self._give_up(request.key, slow)
            raise slow from None

    def submit(self, request: Request) -> Future[None]:
        """Queue a request; byte-identical ones that wait or were committed lately share one outcome."""
        key = request.key
        with self._changed:
            already = self._waiting.get(key) or self._working.get(key)
            if already is not None:
                Metric.RESENT.add(signal=request.signal.value)
                already.waiters += 1
                return already.future
            future: Future[None] = Future()
            if self._stopping:
                future.set_exception(RetryLater(Reason.STOPPING, "shutting down, send it again", delay=1.0))
            elif self._spool.seen(request.tenant, request.digest):
                Metric.RESENT.add(signal=request.signal.value)
                future.set_result(None)
            elif self._waiting and self._waiting_bytes + len(request.body) > self._room:
                sentence = "more arrives than can be stored now; send the same request later"
                future.set_exception(RetryLater(Reason.OVERLOADED, sentence, delay=self._ack_seconds * _QUEUE_SHARE))
            else:
                self._waiting[key] = _Waiting(request, future)
                self._measure(len(request.body))
                self._changed.notify()
            return future

    @property
    def _room(self) -> float:
        """Bytes that may wait."""
        return self._pace.bytes_a_second * self._ack_seconds * _QUEUE_SHARE

    def _measure(self, change: int) -> None:
        self._waiting_bytes += change
        Metric.QUEUE_BYTES.set(self._waiting_bytes)
        Metric.QUEUE_LIMIT.set(int(self._room))

    def _give_up(self, key: Key, why: RetryLater) -> None:
        """Nobody waits for this one any more: it makes room for what still can be answered in time."""
        with self._changed:
            waiting = self._waiting.get(key)
            if waiting is None:
                return
            waiting.waiters -= 1
            if waiting.waiters == 0:
                del self._waiting[key]
                self._measure(-len(waiting.request.body))
                waiting.future.set_exception(why)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            began = time.monotonic()
            with Metric.COMMIT_SECONDS.time():
                outcomes = self._outcomes([waiting.request for waiting in group])
            reach("before-ack")
            with self._changed:
                self._working.clear()
                size = sum(len(waiting.request.body) for waiting in group)
                seconds = time.monotonic() - began
                self._pace.committed(size, seconds, backlog=bool(self._waiting))
                together = len(group) > 1 or self._waiting
                self._moment = min(_MOMENT, _MOMENT_SHARE * seconds) if together else 0.0
                self._expected = self._waiting_bytes + size
            for waiting in group:
                _resolve(waiting.future, outcomes.get(waiting.request.key))

    def _outcomes(self, requests: Sequence[Request]) -> Outcomes:
        try:
            return self._commit.commit(requests)
        except Exception as error:
            log.error("commit failed", error=type(error).__name__)  # noqa: TRY400 - the text may be payload
            failure = RetryLater(Reason.INTERNAL, "internal error, send it again", delay=5.0)
            return {request.key: failure for request in requests}

    def _next_group(self) -> list[_Waiting] | None:
        """Wait for requests and take as many as fit; None when stopped and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            most = min(MAX_GROUP_BYTES, self._pace.bytes_a_second * self._ack_seconds * _GROUP_SHARE)
            if self._moment:
                enough = min(most, self._expected)
                self._changed.wait_for(lambda: self._stopping or self._waiting_bytes >= enough, self._moment)
            size = 0
            while self._waiting and size < most:
                key = next(iter(self._waiting))
                self._working[key] = self._waiting.pop(key)
                size += len(self._working[key].request.body)
            self._measure(-size)
            return list(self._working.values()) or None


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()


def _resolve(future: Future[None], failure: Exception | None) -> None:
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
