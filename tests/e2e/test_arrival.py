"""Whatever sends it, and however: what is stored is what was sent."""

from __future__ import annotations

import gzip
import json
import secrets
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from tests.e2e import everything
from tests.e2e.everything import NOW
from tests.e2e.house import House, serving

pytestmark = pytest.mark.e2e
_STUBS: dict[str, Any] = {"traces": TraceServiceStub, "logs": LogsServiceStub, "metrics": MetricsServiceStub}
_IDS = {"traceId", "spanId", "parentSpanId"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A serve that keeps content, so that everything can be compared."""
    with serving(tmp_path_factory.mktemp("arrival") / "data", TOKENTIDE_CONTENT__POLICY="keep") as house:
        yield house


def as_json(message: Message) -> bytes:
    """OTLP's JSON: as protobuf's, but ids are hex and enums are numbers."""
    return json.dumps(_with_hex_ids(MessageToDict(message, use_integers_for_enums=True))).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: b64decode(item).hex() if name in _IDS else _with_hex_ids(item) for name, item in value.items()}
    return [_with_hex_ids(item) for item in value] if isinstance(value, list) else value


def by_protobuf(house: House, signal: str, message: Message) -> None:
    """HTTP, protobuf."""
    house.send(f"/v1/{signal}", message.SerializeToString())


def by_gzip(house: House, signal: str, message: Message) -> None:
    """HTTP, protobuf, gzip."""
    house.send(f"/v1/{signal}", gzip.compress(message.SerializeToString()), Content_Encoding="gzip")


def by_curl(house: House, signal: str, message: Message) -> None:
    """HTTP, JSON, by curl."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--data-binary", "@-"]
    header = ["--header", "Content-Type: application/json"]
    ran = subprocess.run(
        [*command, *header, f"{house.url}/v1/{signal}"], input=as_json(message), capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, b"{}"), ran.stderr


def by_grpc(house: House, signal: str, message: Message) -> None:
    """gRPC, gzip."""
    with grpc.insecure_channel(house.addresses["grpc"], options=[("grpc.max_send_message_length", -1)]) as channel:
        _STUBS[signal](channel).Export(message, timeout=60, compression=grpc.Compression.Gzip)


Sender = Callable[[House, str, Message], None]
SENDERS = pytest.mark.parametrize("sender", [by_protobuf, by_gzip, by_curl, by_grpc])


@SENDERS
def test_spans_are_what_was_sent(house: House, sender: Sender) -> None:
    """Ids, times, events, links, scope, resource and attributes of every kind are in otel_traces as they were sent."""
    trace_id = secrets.token_bytes(16)
    sender(house, "traces", everything.traces(trace_id))
    stored = house.wait_for(everything.TRACES_SQL.format(trace=trace_id.hex()))
    assert stored == everything.span_rows(trace_id)


@SENDERS
def test_logs_are_what_was_sent(house: House, sender: Sender) -> None:
    """Bodies and attributes of every kind, severity, times and ids are in otel_logs as they were sent."""
    trace_id = secrets.token_bytes(16)
    sender(house, "logs", everything.logs(trace_id))
    stored = house.wait_for(everything.LOGS_SQL.format(trace=trace_id.hex()))
    assert stored == everything.log_rows(trace_id)


@SENDERS
def test_metrics_are_what_was_sent(house: House, sender: Sender) -> None:
    """Points of every kind of metric, with exemplars and 64-bit counts, are in otel_metrics_* as they were sent."""
    unit = secrets.token_hex(8)
    sender(house, "metrics", everything.metrics(unit))
    for table, row in everything.metric_rows(unit).items():
        columns = ", ".join(f"{name} AS c{number}" for number, name in enumerate(row))
        stored = house.wait_for(f"SELECT {columns} FROM {table} WHERE MetricUnit = '{unit}'")
        assert [dict(zip(row, found.values(), strict=True)) for found in stored] == [row]


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_what_the_sdk_exports_arrives(house: House, transport: str) -> None:
    """Spans that an application records with OpenTelemetry's SDK and exporters are stored as it recorded them."""
    if transport == "grpc":
        exporter: Any = GrpcSpans(house.addresses["grpc"], insecure=True)
    else:
        exporter = HttpSpans(f"{house.url}/v1/traces")
    provider = TracerProvider(resource=Resource({"service.name": "sdk", "answer": 42}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    far = SpanContext(trace_id=2**128 - 1, span_id=2**64 - 1, is_remote=True)
    span = provider.get_tracer("app", "2.1").start_span(
        "работа", kind=SpanKind.PRODUCER, start_time=NOW, links=[Link(far, {"why": "far"})]
    )
    span.set_attributes({"text": "ü", "int": everything.LEAST, "float": 0.1, "bool": True, "list": ["a", "é"]})
    span.add_event("happened", {"n": everything.MOST}, timestamp=NOW + 5)
    span.set_status(Status(StatusCode.ERROR, "no"))
    with trace.use_span(span):
        provider.get_tracer("inner").start_span("child", start_time=NOW + 1).end(NOW + 2)
    span.end(NOW + 1_000_000_007)
    provider.shutdown()
    context = span.get_span_context()
    trace_id = f"{context.trace_id:032x}"
    sql = everything.TRACES_SQL.format(trace=trace_id)
    rows = {row["SpanName"]: row for row in house.wait_for(sql, lambda rows: len(rows) == 2)}
    full, child = rows["работа"], rows["child"]
    assert full == child | {
        "at": NOW,
        "SpanId": f"{context.span_id:016x}",
        "ParentSpanId": "",
        "SpanName": "работа",
        "SpanKind": "Producer",
        "ScopeName": "app",
        "ScopeVersion": "2.1",
        "SpanAttributes": {
            "text": "ü",
            "int": str(everything.LEAST),
            "float": "0.1",
            "bool": "true",
            "list": '["a","é"]',
        },
        "Duration": 1_000_000_007,
        "StatusCode": "Error",
        "StatusMessage": "no",
        "events_at": [NOW + 5],
        "events": ["happened"],
        "event_attributes": [{"n": str(everything.MOST)}],
        "link_traces": ["f" * 32],
        "link_spans": ["f" * 16],
        "link_states": [""],
        "link_attributes": [{"why": "far"}],
    }
    assert (child["ParentSpanId"], child["SpanKind"], child["Duration"]) == (full["SpanId"], "Internal", 1)
    assert full["ServiceName"] == "sdk" and full["ResourceAttributes"] == {"service.name": "sdk", "answer": "42"}
