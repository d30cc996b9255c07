"""The ordinary door for a command that brings records: the running `serve`, or our own commit, spool and writer."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from otel_exporter import forward, ingest, runfile
from otel_exporter.asking import AskIn, direct, live
from otel_exporter.commit import Request
from processors.batch import Signal

if TYPE_CHECKING:
    from otel_exporter.assembly import Assembly
    from otel_exporter.config import Settings
    from otel_exporter.runfile import Running

#: So many requests may wait in the spool of a command before it writes them.
_WAITING: Final = 20


class Door(Protocol):
    """Takes OTLP requests; what `send` returned from is durable. And answers questions."""

    ask: AskIn

    def send(self, signal: Signal, body: bytes) -> None:
        """Make one request durable. The same bytes again within ten minutes are not stored again.

        Raises:
            Refused: it can never be stored.
            RetryLater: not now.
        """

    def settle(self) -> None:
        """Return when everything sent is in ClickHouse, or when that is `serve`'s own business."""


@contextmanager
def opened(settings: Settings) -> Iterator[Door]:
    """The door of this data directory: through the `serve` that owns it, or our own while there is none."""
    running = runfile.find(settings.store.data_dir)
    if running is not None:
        with _through_serve(settings, running) as door:
            yield door
        return
    with ingest.owned(settings) as parts:
        yield _Own(settings, parts)


@contextmanager
def _through_serve(settings: Settings, running: Running) -> Iterator[Door]:
    token = settings.ingest.token.reveal() if settings.ingest.token else running.token
    with closing(http.client.HTTPConnection(running.local_http, timeout=forward.TIMEOUT)) as connection:
        yield _Serve(connection, token, live(running))


class _Serve:
    def __init__(self, connection: http.client.HTTPConnection, token: str, ask: AskIn) -> None:
        self._connection = connection
        self._token = token
        self.ask = ask

    def send(self, signal: Signal, body: bytes) -> None:
        forward.post(self._connection, f"/v1/{signal}", self._token, body, "what was imported")

    def settle(self) -> None:
        pass


class _Own:
    def __init__(self, settings: Settings, parts: Assembly) -> None:
        self._tenant = settings.ingest.tenant
        self._parts = parts
        self._waiting = 0
        self.ask = direct(parts.store)

    def send(self, signal: Signal, body: bytes) -> None:
        request = Request(signal, self._tenant, body)
        if self._parts.spool.seen(request.tenant, request.digest):
            return
        ingest.commit(self._parts, [request])
        self._waiting += 1
        if self._waiting >= _WAITING:
            self.settle()

    def settle(self) -> None:
        ingest.drain(self._parts)
        self._waiting = 0
