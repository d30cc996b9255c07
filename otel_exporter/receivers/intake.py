"""What every request goes through once its bytes are here, whichever transport brought them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, Protocol, TypeVar

import structlog

from otel_exporter.decode import canonical, is_crowded, too_many
from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.logs import frames
from otel_exporter.otlp_json import to_protobuf
from otel_exporter.receivers.answers import Failure, Media
from otel_exporter.telemetry import Metric
from processors.batch import Signal

#: Bodies over this are parsed on another thread. JSON is converted in Python, so the event loop goes on meanwhile; upb
#: holds the GIL while it parses (10 ms a MiB), so a thread only pays where the Python around it is worth the change.
ASIDE_BYTES: Final = {Media.JSON: 65_536, Media.PROTOBUF: 1_048_576}
#: A sender that keeps failing for one reason is logged once in so many seconds; the counters count every time.
QUIET_SECONDS: Final = 60.0
_MANY_SENDERS: Final = 1_000

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Where valid requests go."""

    async def accept(self, signal: Signal, tenant: str, body: bytes) -> None:
        """Make an ``Export*ServiceRequest`` durable; returns when it is, and only then is the sender told OK.

        Cancelled when the sender breaks off: that must not disturb other requests of the same commit.

        Raises:
            Refused: these bytes will never be accepted.
            RetryLater: not now. Any other exception is answered the same way, so nothing is lost.
        """


class Intake:
    """Validates and counts requests, and hands them to the sink."""

    def __init__(self, transport: Literal["grpc", "http"], sink: Sink, max_records: int) -> None:
        self._transport = transport
        self._sink = sink
        self._max_records = max_records
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"receive-{transport}")
        self._last_logged: dict[tuple[str, str], float] = {}

    async def take(self, signal: Signal, tenant: str, body: bytes, media: Media = Media.PROTOBUF) -> None:
        """Returns when the request is durable. One that carries no record at all succeeds without the sink.

        Raises:
            Refused: not a valid request, too many records, or the sink refused it.
            RetryLater: the sink cannot take it now.
        """
        if media is Media.JSON and body:
            body = await self._parse(self._to_protobuf, signal, body, media)
        if not body:
            return
        body, records = await self._parse(self._canonical, signal, body, Media.PROTOBUF)
        if not records:
            return
        Metric.RECEIVED.add(records, signal=signal.value, transport=self._transport)
        await self._sink.accept(signal, tenant, body)

    def _to_protobuf(self, signal: Signal, body: bytes) -> bytes:
        return to_protobuf(signal, body, self._max_records)

    def _canonical(self, signal: Signal, body: bytes) -> tuple[bytes, int]:
        """The request and how many records it holds; too many are noticed before parsing, which is what they cost."""
        if is_crowded(signal, body, self._max_records):
            raise too_many(self._max_records)
        return canonical(signal, body)

    async def _parse(
        self, function: Callable[[Signal, bytes], _Result], signal: Signal, body: bytes, media: Media
    ) -> _Result:
        if len(body) <= ASIDE_BYTES[media]:
            return function(signal, body)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, signal, body)

    def turn_away(self, error: Exception, sender: str) -> Failure:
        """The failure to answer ``error`` with, counted and logged. An unexpected one becomes RetryLater."""
        failure = error if isinstance(error, (Refused, RetryLater)) else self._unexpected(error)
        metric = Metric.REFUSED if isinstance(failure, Refused) else Metric.RETRY_LATER
        metric.add(transport=self._transport, reason=failure.reason.value)
        self._log_seldom(failure, sender)
        return failure

    def _unexpected(self, error: Exception) -> RetryLater:
        """Logs where it happened, never its message: that may quote payload."""
        _log.error(
            "request failed", transport=self._transport, error=type(error).__name__, at=frames(error.__traceback__)
        )
        return RetryLater(Reason.INTERNAL, "The request could not be stored because of an error here; send it again.")

    def _log_seldom(self, failure: Failure, sender: str) -> None:
        key, now = (sender, failure.reason.value), time.monotonic()
        if now - self._last_logged.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        if len(self._last_logged) >= _MANY_SENDERS:
            self._last_logged.clear()
        self._last_logged[key] = now
        event = "request refused" if isinstance(failure, Refused) else "request put off"
        _log.warning(event, transport=self._transport, sender=sender, reason=key[1], why=failure.sentence)

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)
