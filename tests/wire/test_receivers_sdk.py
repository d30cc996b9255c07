"""The OpenTelemetry SDK's own exporters, over gRPC and HTTP, against both receivers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers import token_hash
from processors.batch import Signal
from tests.wire.receivers_door import Door, RecordingSink, door, on_loop

TOKEN = {"authorization": "Bearer t-acme"}
TOKENS = {token_hash("t-acme"): "acme"}
BOTH = pytest.mark.parametrize("transport", ["grpc", "http"])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The exporters log the failures that these tests cause on purpose."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def recorded_spans(count: int) -> tuple[ReadableSpan, ...]:
    """Spans as the SDK records them."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for index in range(count):
        with provider.get_tracer("t").start_as_current_span(f"chat {index}") as span:
            span.set_attribute("n", 2**63 - 1)
    provider.shutdown()
    return memory.get_finished_spans()


def recorded_logs() -> Any:
    """One log record as the SDK records it."""
    memory, provider = InMemoryLogRecordExporter(), LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    provider.get_logger("t").emit(LogRecord(body="ünïcode"))
    logs = memory.get_finished_logs()
    provider.shutdown()
    return logs


def recorded_metrics() -> Any:
    """One metric point as the SDK records it."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    provider.get_meter("t").create_counter("calls").add(3)
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def exporter(house: Door, transport: str, signal: Signal, *, gzip: bool = False, **options: Any) -> Any:
    """The SDK's exporter for one signal."""
    if transport == "grpc":
        kind: Any = {Signal.TRACES: GrpcSpans, Signal.LOGS: GrpcLogs, Signal.METRICS: GrpcMetrics}[signal]
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        return kind(f"http://{house.target}", insecure=True, headers=TOKEN, compression=compression, **options)
    kind = {Signal.TRACES: HttpSpans, Signal.LOGS: HttpLogs, Signal.METRICS: HttpMetrics}[signal]
    compression_http = Compression.Gzip if gzip else Compression.NoCompression
    return kind(f"{house.url}/v1/{signal}", headers=TOKEN, compression=compression_http, **options)


async def export(sender: Any, data: Any) -> str:
    """Export as an application does, on a thread; the name of the result."""
    try:
        result = await asyncio.to_thread(sender.export, data)
    finally:
        await asyncio.to_thread(sender.shutdown)
    return str(result.name)


@BOTH
@pytest.mark.parametrize("gzip", [False, True])
@on_loop
async def test_every_signal_arrives(transport: str, gzip: bool) -> None:
    """What the SDK exports, plain or gzip, with its token, is accepted and reads back as what was recorded."""
    recorded: dict[Signal, tuple[Callable[[bytes], Any], Any]] = {
        Signal.TRACES: (ExportTraceServiceRequest.FromString, recorded_spans(600)),
        Signal.LOGS: (ExportLogsServiceRequest.FromString, recorded_logs()),
        Signal.METRICS: (ExportMetricsServiceRequest.FromString, recorded_metrics()),
    }
    async with door(tokens=TOKENS) as house:
        for signal, (_, data) in recorded.items():
            assert await export(exporter(house, transport, signal, gzip=gzip), data) == "SUCCESS"
        arrived = {signal: recorded[signal][0](body) for signal, tenant, body in house.sink.accepted}
        assert {tenant for _, tenant, _ in house.sink.accepted} == {"acme"}
    spans = arrived[Signal.TRACES].resource_spans[0].scope_spans[0].spans
    sent = {span.context.span_id: span.name for span in recorded[Signal.TRACES][1]}
    assert {int.from_bytes(span.span_id, "big"): span.name for span in spans} == sent
    log = arrived[Signal.LOGS].resource_logs[0].scope_logs[0].log_records[0]
    assert log.body.string_value == "ünïcode"
    metric = arrived[Signal.METRICS].resource_metrics[0].scope_metrics[0].metrics[0]
    assert metric.sum.data_points[0].as_int == 3


@BOTH
@on_loop
async def test_retry_later_makes_the_sdk_try_again(transport: str) -> None:
    """The SDK understands our RetryLater: it waits, sends the same bytes again, and nothing is lost."""
    sink = RecordingSink(fail_with=[RetryLater(Reason.OVERLOADED, "Later.", delay=0.2), OSError("surprise")])
    async with door(sink, tokens=TOKENS) as house:
        assert await export(exporter(house, transport, Signal.TRACES, timeout=20), recorded_spans(1)) == "SUCCESS"
        assert len(sink.accepted) == 1
        assert sink.fail_with == []


@BOTH
@on_loop
async def test_a_refusal_makes_the_sdk_give_up(transport: str) -> None:
    """The SDK understands our refusals: it does not send what can never be accepted a second time."""
    sink = RecordingSink(fail_with=[Refused(Reason.MALFORMED, "No."), Refused(Reason.MALFORMED, "Sent again!")])
    async with door(sink, tokens=TOKENS) as house:
        assert await export(exporter(house, transport, Signal.TRACES), recorded_spans(1)) == "FAILURE"
        assert len(sink.fail_with) == 1


@BOTH
@on_loop
async def test_a_wrong_token_makes_the_sdk_give_up(transport: str) -> None:
    """A sender with a wrong token fails at once instead of trying for a minute."""
    async with door(tokens={token_hash("other"): "acme"}) as house:
        async with asyncio.timeout(3):
            assert await export(exporter(house, transport, Signal.TRACES), recorded_spans(1)) == "FAILURE"
        assert house.sink.accepted == []
