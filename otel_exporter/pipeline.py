"""The pipeline between receivers and spool: requests wait here for the group they are committed with.

One thread commits; what arrives meanwhile forms the next group (no linger). `accept` returns when the request is
durable.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
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


class Pipeline:
    """The sink of the receivers."""

    def __init__(self, commit: GroupCommit, spool: Spool, *, ack_seconds: float = ACK_SECONDS) -> None:
        self._commit = commit
        self._spool = spool
        self._ack_seconds = ack_seconds
        self._waiting: dict[Key, tuple[Request, Future[None]]] = {}
        self._working: dict[Key, tuple[Request, Future[None]]] = {}
        self._changed = threading.Condition()
        self._stopping = False
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
            RetryLater: not committed in time, spool full, or stopping. A retry of the same bytes is never stored twice.
            Refused: it can never be stored.
        """
        done = asyncio.wrap_future(self.submit(Request(signal, tenant, body)))
        done.add_done_callback(_seen)  # whoever waited may have gone: nobody else will look at its failure
        try:
            await asyncio.wait_for(asyncio.shield(done), self._ack_seconds)
        except TimeoutError:
            sentence = f"not committed within {self._ack_seconds:g} seconds, send it again"
            raise RetryLater(Reason.SLOW, sentence, delay=1.0) from None

    def submit(self, request: Request) -> Future[None]:
        """Queue a request; byte-identical ones that wait or were committed lately share one outcome."""
        key = request.key
        with self._changed:
            already = self._waiting.get(key) or self._working.get(key)
            if already is not None:
                Metric.RESENT.add(signal=request.signal.value)
                return already[1]
            future: Future[None] = Future()
            if self._stopping:
                future.set_exception(RetryLater(Reason.STOPPING, "shutting down, send it again", delay=1.0))
            elif self._spool.seen(request.tenant, request.digest):
                Metric.RESENT.add(signal=request.signal.value)
                future.set_result(None)
            else:
                self._waiting[key] = (request, future)
                self._changed.notify()
            return future

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            with Metric.COMMIT_SECONDS.time():
                outcomes = self._outcomes([request for request, _ in group])
            reach("before-ack")
            with self._changed:
                self._working.clear()
            for request, future in group:
                _resolve(future, outcomes.get(request.key))

    def _outcomes(self, requests: Sequence[Request]) -> Outcomes:
        try:
            return self._commit.commit(requests)
        except Exception as error:
            log.error("commit failed", error=type(error).__name__)  # noqa: TRY400 - the text may be payload
            failure = RetryLater(Reason.INTERNAL, "internal error, send it again", delay=5.0)
            return {request.key: failure for request in requests}

    def _next_group(self) -> list[tuple[Request, Future[None]]] | None:
        """Wait for requests and take as many as fit; None when stopped and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            size = 0
            while self._waiting and size < MAX_GROUP_BYTES:
                key = next(iter(self._waiting))
                self._working[key] = self._waiting.pop(key)
                size += len(self._working[key][0].body)
            return list(self._working.values()) or None


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()


def _resolve(future: Future[None], failure: Exception | None) -> None:
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
