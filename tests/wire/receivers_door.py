"""Both receivers on free ports with a sink that remembers, and senders that speak to them in raw bytes."""

from __future__ import annotations

import asyncio
import functools
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.receivers import Admission, GrpcReceiver, HttpReceiver, Tls
from otel_exporter.telemetry import REGISTRY
from processors.batch import Signal

EXPORT = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
PROTOBUF, JSON = "application/x-protobuf", "application/json"


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run


@dataclass
class RecordingSink:
    """Keeps what it accepts. ``fail_with`` is raised instead (once each, in order); ``gate`` holds every request."""

    accepted: list[tuple[Signal, str, bytes]] = field(default_factory=list)
    fail_with: list[Exception] = field(default_factory=list)
    gate: asyncio.Event | None = None
    waiting: int = 0

    async def accept(self, signal: Signal, tenant: str, body: bytes) -> None:
        """See `Sink`."""
        self.waiting += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.fail_with:
            raise self.fail_with.pop(0)
        self.accepted.append((signal, tenant, body))

    def bodies(self) -> list[bytes]:
        """The accepted bodies, in order."""
        return [body for _, _, body in self.accepted]

    async def until_waiting(self, count: int) -> None:
        """Return when ``count`` requests are held at the gate."""
        async with asyncio.timeout(10):
            while self.waiting < count:
                await asyncio.sleep(0.005)


@dataclass
class Door:
    """Both receivers, listening."""

    sink: RecordingSink
    admission: Admission
    http: HttpReceiver
    http_port: int
    grpc: GrpcReceiver
    grpc_port: int

    @property
    def url(self) -> str:
        """Where HTTP listens."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def target(self) -> str:
        """Where gRPC listens."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def in_flight(self) -> float:
        """The gauge."""
        return REGISTRY.get_sample_value("tokentide_in_flight_bytes") or 0.0

    async def export(
        self, body: bytes, signal: Signal = Signal.TRACES, metadata: Mapping[str, str] | None = None, **options: Any
    ) -> bytes:
        """One gRPC call with raw bytes in and out, on a connection of its own."""
        async with grpc.aio.insecure_channel(self.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(EXPORT[signal])
            answer: bytes = await call(body, metadata=tuple((metadata or {}).items()), timeout=20, **options)
            return answer

    async def raw(self, data: bytes, *, half_close: bool = False) -> bytes:
        """What HTTP answers to these bytes, until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http_port)
        try:
            writer.write(data)
            if half_close:
                writer.write_eof()
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def door(
    sink: RecordingSink | None = None,
    *,
    tokens: Mapping[str, str] | None = None,
    max_body: int = 4 << 20,
    max_decompressed: int = 16 << 20,
    max_in_flight: int = 64 << 20,
    tls: Tls | None = None,
    patience: float = 30.0,
    max_records: int = 50_000,
) -> AsyncIterator[Door]:
    """Start both receivers, stop them at the end, and check that no byte is counted as in flight any more."""
    sink = sink or RecordingSink()
    admission = Admission(tokens or {}, max_body, max_decompressed, max_in_flight, max_records=max_records)
    http = HttpReceiver("127.0.0.1", 0, admission, sink, tls, patience)
    grpc_receiver = GrpcReceiver("127.0.0.1:0", admission, sink, tls, patience)
    house = Door(sink, admission, http, await http.start(), grpc_receiver, await grpc_receiver.start())
    try:
        yield house
    finally:
        await asyncio.gather(http.stop(1), grpc_receiver.stop(1))
    assert house.in_flight == 0


def counted(metric: str, **labels: str) -> float:
    """A counter of the service, 0 before its first count."""
    return REGISTRY.get_sample_value(metric, labels) or 0.0


def refused(transport: str, reason: str) -> float:
    """How many requests were refused so far."""
    return counted("tokentide_refused_requests_total", transport=transport, reason=reason)


def put_off(transport: str, reason: str) -> float:
    """How many requests were answered RetryLater so far."""
    return counted("tokentide_retry_later_total", transport=transport, reason=reason)


def spans(count: int = 1, name: str = "chat", padding: int = 0) -> bytes:
    """A trace request of ``count`` spans, with ``padding`` bytes of text in each."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for index in range(count):
        span = scope.spans.add(name=name, trace_id=bytes(15) + b"\1", span_id=struct.pack(">Q", index + 1))
        span.attributes.add(key="text").value.string_value = "é" * (padding // 2)
    return request.SerializeToString()


def requests() -> dict[Signal, bytes]:
    """One small request of each signal."""
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "x"
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(as_int=1)
    return {
        Signal.TRACES: spans(),
        Signal.LOGS: logs.SerializeToString(),
        Signal.METRICS: metrics.SerializeToString(),
    }


def bomb(gibibytes: int) -> bytes:
    """Gzip of so many GiB of zeros, about a thousandth of that in size, made without inflating anything."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = compressor.compress(bytes(64 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * (16 * gibibytes)


def post(path: str, body: bytes, media: str = PROTOBUF, *, length: int | None = None, more: str = "") -> bytes:
    """An HTTP request in bytes; ``length`` lies about the body."""
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media}\r\nContent-Length: {size}\r\n{more}\r\n"
    return head.encode() + body


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def open_call(signal: Signal = Signal.TRACES) -> bytes:
    """The bytes that open an HTTP/2 connection and a gRPC call on stream 1, without any message yet."""
    headers = {":method": "POST", ":scheme": "http", ":path": EXPORT[signal], ":authority": "x"}
    headers |= {"content-type": "application/grpc", "te": "trailers"}
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, block)
