"""OTLP/HTTP, protobuf and JSON: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from typing import Any, Final

import structlog
from aiohttp import HttpVersion11, StreamReader, web

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers import answers
from otel_exporter.receivers.admit import Admission
from otel_exporter.receivers.answers import Media
from otel_exporter.receivers.body import Body, coding_of
from otel_exporter.receivers.endpoint import PortTaken
from otel_exporter.receivers.intake import Intake, Sink
from otel_exporter.receivers.listening import Listening
from otel_exporter.receivers.tls import Tls
from otel_exporter.telemetry import Metric
from processors.batch import Signal

PATHS: Final = {f"/v1/{signal}": signal for signal in Signal}
#: Seconds an idle connection, or one that never sends a complete request head, is kept.
KEEP_ALIVE: Final = 75.0
#: Seconds of unread body that are read and forgotten after an early refusal, so that its sender sees the answer.
LINGER: Final = 2.0
_log = structlog.get_logger(__name__)


class HttpReceiver:
    """Listens on ``host``:``port`` (0 picks a free one). One body may take ``patience`` seconds to arrive."""

    def __init__(
        self, host: str, port: int, admission: Admission, sink: Sink, tls: Tls | None = None, patience: float = 30.0
    ) -> None:
        self._host, self._port = host, port
        self._admission = admission
        self._intake = Intake("http", sink, admission.max_records)
        self._tls = tls
        self._patience = patience
        self._stopping = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._server: _Server | None = None
        self._listening: Listening | None = None

    async def start(self) -> int:
        """Listen; the port listened on.

        Raises:
            PortTaken: the address is not free.
            TlsUnusable: the TLS files are not what they should be.
        """
        self._server = server = _Server(self)
        listening = Listening(self._host, self._port, self._tls)
        try:
            _, port = await listening.start(server)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise PortTaken(f"{self._host}:{self._port}", "OTLP/HTTP") from error
            raise
        self._listening = listening
        return port

    async def stop(self, grace: float) -> None:
        """Take no more connections, give requests under way ``grace`` seconds, then close what is left.

        New requests on open connections are asked to come back.
        """
        self._stopping = True
        listening, self._listening = self._listening, None
        server, self._server = self._server, None
        if server is not None and listening is not None:
            await listening.stop()
            await self._until_idle(grace)
            server.pre_shutdown()
            await server.shutdown(0.1)
        self._intake.close()

    async def _until_idle(self, grace: float) -> None:
        if self._under_way:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request; whatever happens has an answer."""
        self._under_way += 1
        try:
            return await self._answer(request)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
            if isinstance(request.protocol, _Connection):
                request.protocol.answering(None)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        media = _MEDIA.get(request.content_type.lower())
        error_media = media or Media.JSON
        signal = PATHS.get(request.path)
        if signal is None:
            Metric.REFUSED.add(transport="http", reason="path")
            return answers.no_such_path(", ".join(PATHS), error_media)
        if request.method != "POST":
            Metric.REFUSED.add(transport="http", reason="method")
            return answers.no_such_method(error_media)
        try:
            response = answers.success(await self._take(signal, media, request))
        except _SenderGoneError:
            response = web.Response(status=400)  # nobody is there to read it
        except Exception as error:
            response = answers.failure_response(self.turn_away(error, request), error_media)
        if self._stopping:
            response.force_close()
        return response

    async def _take(self, signal: Signal, media: Media | None, request: web.BaseRequest) -> Media:
        if self._stopping:
            raise RetryLater(Reason.STOPPING, "The service is stopping; send the same request again soon.")
        tenant = self._admission.authenticate(request.headers, lambda: _certificate_names(request))
        if media is None:
            raise Refused(Reason.MEDIA_TYPE, f"Content-Type must be {Media.PROTOBUF} or {Media.JSON}.")
        with self._admission.reserve() as room:
            body = Body(self._admission, coding_of(request.headers.get("Content-Encoding", "")), room, tenant)
            self._admission.bound_body(request.content_length or 0, tenant)
            self._admission.room_for(request.content_length or 0)
            await self._read(request, body)
            self._admission.arrived(tenant, body.received)
            await self._intake.take(signal, tenant, body.whole(), media)
        return media

    async def _read(self, request: web.BaseRequest, body: Body) -> None:
        await _invite(request)
        try:
            async with asyncio.timeout(self._patience):
                while chunk := await request.content.readany():
                    await body.add(chunk)
        except TimeoutError:
            raise RetryLater(Reason.SLOW, f"The body did not arrive within {self._patience:g} seconds.") from None
        except web.RequestPayloadError:
            raise Refused(Reason.MALFORMED, "The body is not what Transfer-Encoding or Content-Length says.") from None
        except ConnectionError as error:
            raise _SenderGoneError from error
        if isinstance(request.protocol, _Connection) and request.protocol.cut:
            raise Refused(Reason.MALFORMED, "The sender closed its side before the body was complete.")

    def turn_away(self, error: Exception, request: web.BaseRequest) -> answers.Failure:
        """See `Intake.turn_away`."""
        return self._intake.turn_away(error, request.remote or "")


_MEDIA: Final = {media.value: media for media in Media}


def _certificate_names(request: web.BaseRequest) -> list[str]:
    """Whom the sender's certificate names: its common name, DNS names and URIs. TLS has verified it."""
    certificate = request.get_extra_info("peercert") or {}
    subject = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return subject + [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI"}]


class _SenderGoneError(Exception):
    """The connection broke before the body was complete: there is nobody to answer."""


async def _invite(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue` (curl, big bodies): whatever was refused before this was refused unsent."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class _Connection(web.RequestHandler):
    """One connection. A sender may close its sending side and still wait for the answer (RFC 9112, 9.6)."""

    __slots__ = ("_body", "_receiver", "cut")

    def __init__(self, receiver: HttpReceiver, server: web.Server, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._receiver = receiver
        self._body: StreamReader | None = None
        self.cut = False  # the sender closed its side in the middle of a body

    def answering(self, body: StreamReader | None) -> None:
        """A request with this body is being answered; None: no longer."""
        self._body = body

    def eof_received(self) -> bool:  # type: ignore[override]
        """True keeps our side open: there is an answer to give."""
        if self._body is None or self.ssl_context is not None:
            return False
        if not self._body.is_eof():
            self.cut = True
            self._body.feed_eof()
        self.close()
        return True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp could not read as HTTP, answered as everything else; its own words may quote the payload."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is already under way")
        error = Refused(Reason.MALFORMED, "This is not a valid HTTP/1.1 request.")
        failure = self._receiver.turn_away(exc if status >= 500 and isinstance(exc, Exception) else error, request)
        response = answers.failure_response(failure, Media.JSON)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **details: Any) -> None:
        """Never the exception itself, which may quote the payload."""
        _log.warning("connection failed", transport="http", error=type(details.get("exc_info")).__name__)


class _Server(web.Server):
    """aiohttp's low-level server: three fixed paths need no router, and a body must not be inflated unbounded."""

    def __init__(self, receiver: HttpReceiver) -> None:
        super().__init__(receiver.answer, request_factory=self._request)
        self._receiver = receiver

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self._receiver,
            self,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
        )

    def _request(
        self, message: Any, payload: StreamReader, protocol: web.RequestHandler, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        """Runs before the handler does, so that a connection knows of a request from its first moment."""
        assert isinstance(protocol, _Connection)
        protocol.answering(payload)
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())
