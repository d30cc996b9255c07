"""OTLP/gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import grpc
import structlog

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers.admit import Admission
from otel_exporter.receivers.answers import abort
from otel_exporter.receivers.body import Body, coding_of_message
from otel_exporter.receivers.endpoint import PortTaken
from otel_exporter.receivers.intake import Intake, Sink
from otel_exporter.receivers.tls import Loaded, Renewal, Tls, TlsUnusable
from processors.batch import Signal

SERVICES: Final = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
}
#: Seconds in which gRPC's core tells a handler that its call is over.
_SETTLE: Final = 0.05
#: Seconds between two looks at whether gRPC's server still serves, and those that calls get to end when it does not.
_LOOK: Final = 0.25
_LAST_ANSWERS: Final = 5.0
_log = structlog.get_logger(__name__)
_Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcReceiver:
    """Listens on ``address`` (`host:port`, port 0 picks a free one). One message may take ``patience`` seconds."""

    def __init__(
        self, address: str, admission: Admission, sink: Sink, tls: Tls | None = None, patience: float = 30.0
    ) -> None:
        self._address = address
        self._admission = admission
        self._intake = Intake("grpc", sink, admission.max_records)
        self._tls = tls
        self._patience = patience
        self._server: grpc.aio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> int:
        """Listen; the port listened on.

        Raises:
            PortTaken: the address is not free.
            TlsUnusable: the TLS files are not what they should be.
        """
        port = await self._listen()
        self._address = f"{self._address.rpartition(':')[0]}:{port}"
        self._watch = asyncio.create_task(self._listen_again())
        return port

    async def _listen(self) -> int:
        server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers([self._handlers(service, signal) for service, signal in SERVICES.items()])
        try:
            port = self._bind(server)
        except RuntimeError as error:
            raise PortTaken(self._address, "OTLP/gRPC") from error
        await server.start()
        self._server = server
        return port

    async def _listen_again(self) -> None:
        """Whenever gRPC's server has ended by itself: a call whose path is not UTF-8 does that to it (grpcio 1.85).

        Calls under way are answered; those that come in the moment between are sent again by their senders.
        """
        while server := self._server:
            try:
                await server.wait_for_termination(_LOOK)
            except Exception as error:
                _log.warning("listener ended, listening again", transport="grpc", error=type(error).__name__)
                self._server = None
                ending = asyncio.create_task(server.stop(_LAST_ANSWERS))
                await self._until_bound()
                await ending

    async def _until_bound(self) -> None:
        while not self._stopping and self._server is None:
            try:
                await self._listen()
            except (PortTaken, TlsUnusable):  # the old server is letting go of it, or files are being replaced
                await asyncio.sleep(_SETTLE)

    async def stop(self, grace: float) -> None:
        """Take no more calls, give those under way ``grace`` seconds, then cancel what is left."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace)
        self._intake.close()

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.so_reuseport", 0),  # else a second bind of a taken port succeeds silently
            ("grpc.max_receive_message_length", self._admission.max_body_bytes),
            # We inflate: after the token was checked, under our own bound, counted as bytes in flight.
            ("grpc.per_message_decompression", 0),
            ("grpc.compression_enabled_algorithms_bitset", 0b101),  # identity and gzip
            ("grpc.keepalive_time_ms", 60_000),  # notice senders that vanished
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # Collectors ping idle connections
        ]

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._tls is None:
            return int(server.add_insecure_port(self._address))
        renewal = Renewal(self._tls)

        def renewed() -> Any:
            """Asked by gRPC's core, in a thread of its own, before every handshake."""
            fresh = renewal.look()
            return None if fresh is None else _pair(fresh)

        mutual = self._tls.client_authority is not None
        credentials = grpc.dynamic_ssl_server_credentials(_pair(renewal.first()), renewed, mutual)
        return int(server.add_secure_port(self._address, credentials))

    def _handlers(self, service: str, signal: Signal) -> grpc.GenericRpcHandler[Any, Any]:
        """Declared as a stream of one message (the same on the wire), so that the token is checked before it is read.

        No deserializer: the handler gets the bytes as they came.
        """
        export = grpc.stream_unary_rpc_method_handler(partial(self._export, signal))
        return grpc.method_handlers_generic_handler(service, {"Export": export})

    async def _export(self, signal: Signal, _messages: Any, context: _Context) -> bytes:
        try:
            await self._take(signal, context)
        except Exception as error:
            failure = self._intake.turn_away(error, _host(context.peer()))
            await abort(context, failure)
        return b""  # an Export*ServiceResponse with `partial_success` unset

    async def _take(self, signal: Signal, context: _Context) -> None:
        if self._stopping:
            raise RetryLater(Reason.STOPPING, "The service is stopping; send the same request again soon.")
        headers = dict(context.invocation_metadata() or ())
        tenant = self._admission.authenticate(headers, lambda: _certificate_names(context))
        message = await self._read(context)
        with self._admission.reserve() as room:
            body = Body(self._admission, coding_of_message(message), room, tenant)
            self._admission.arrived(tenant, len(message))
            await body.add(message)
            del message
            await self._intake.take(signal, tenant, body.whole())

    async def _read(self, context: _Context) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                message = await context.read()
        except TimeoutError:
            raise RetryLater(Reason.SLOW, f"The message did not arrive within {self._patience:g} seconds.") from None
        if not isinstance(message, bytes):  # grpc.aio.EOF
            raise await self._nothing_came(context)
        return message

    async def _nothing_came(self, context: _Context) -> Refused:
        """Core answers a message over the bound itself (RESOURCE_EXHAUSTED) and cancels the call a moment later."""
        try:
            await asyncio.sleep(_SETTLE)
        except asyncio.CancelledError:
            if context.time_remaining() != 0:
                why = f"A message was over the {self._admission.max_body_bytes} bytes allowed, or its sender broke off."
                self._intake.turn_away(Refused(Reason.TOO_LARGE, why), _host(context.peer()))
            raise
        return Refused(Reason.MALFORMED, "The call ended without a message.")


def _pair(loaded: Loaded) -> Any:
    pair = (loaded.key, loaded.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=loaded.client_authority)


def _certificate_names(context: _Context) -> list[str]:
    """Whom the sender's certificate names: its common name, DNS names and URIs. TLS has verified it."""
    said = context.auth_context()
    kinds = ("x509_common_name", "x509_subject_alternative_name")
    return [value.decode(errors="replace") for kind in kinds for value in said.get(kind, ())]


def _host(peer: str) -> str:
    """``ipv4:127.0.0.1:5678`` without the port, so that one sender is one sender."""
    return peer.rpartition(":")[0] or peer
