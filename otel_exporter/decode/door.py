"""What happens to every request at the door: parsed once by upb (in C), counted, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_exporter.failures import Reason, Refused
from processors.batch import Signal

Request = ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest
REQUEST: Final[dict[Signal, type[Request]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
#: The repeated fields that lead to the records: of the request, of a resource, of a scope.
PATH: Final[dict[Signal, tuple[str, str, str]]] = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}


def parse(signal: Signal, body: bytes) -> Request:
    """The request as a upb message.

    Raises:
        Refused: MALFORMED: not protobuf, not this message, text that is not UTF-8, or nested more than 100 deep.
    """
    try:
        return REQUEST[signal].FromString(body)
    except DecodeError as error:
        name = REQUEST[signal].DESCRIPTOR.name
        sentence = f"The body is not a well-formed {name} in protobuf, or is nested more than 100 deep."
        raise Refused(Reason.MALFORMED, sentence) from error


def validate(signal: Signal, body: bytes) -> int:
    """How many spans, log records or metric points the request holds.

    Only what protobuf itself demands is checked: an id may have any length and a span may end before it starts.

    Raises:
        Refused: MALFORMED, as `parse` says.
    """
    return _count(signal, parse(signal, body))


def canonical(signal: Signal, body: bytes) -> tuple[bytes, int]:
    """The request as protobuf's own serializer writes it, and how many records it holds.

    Every sender we know of sends exactly that. Other bytes can mean the same: a field sent twice, a known number with
    another wire type, groups; readers differ in what they make of those. So they are read here, once, by upb, and
    nobody behind the door meets them. Unknown fields are left out: nobody reads them.

    Raises:
        Refused: MALFORMED, as `parse` says.
    """
    request = parse(signal, body)
    request.DiscardUnknownFields()
    return request.SerializeToString(), _count(signal, request)


def _count(signal: Signal, request: Request) -> int:
    lists = _lists(signal, request)
    if signal is Signal.METRICS:
        return sum(len(points(metric)) for metrics in lists for metric in metrics)
    return sum(map(len, lists))


def _lists(signal: Signal, request: Request) -> Iterator[Sequence[Any]]:
    resources, scopes, records = PATH[signal]
    return (getattr(scope, records) for resource in getattr(request, resources) for scope in getattr(resource, scopes))


def points(metric: Metric) -> Sequence[Any]:
    """The points of a metric, whatever its kind. A kind newer than this code has none."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()
