"""What happens to every request at the door: parsed once by upb (in C), counted, or refused."""

from __future__ import annotations

from typing import Final

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


def parse(signal: Signal, body: bytes) -> Request:
    """The request as a upb message.

    Raises:
        Refused: MALFORMED: not protobuf, not this message, text that is not UTF-8, or nested more than 100 deep.
    """
    try:
        return REQUEST[signal].FromString(body)
    except DecodeError as error:
        sentence = f"The body is not a well-formed {REQUEST[signal].__name__} in protobuf."
        raise Refused(Reason.MALFORMED, sentence) from error


def validate(signal: Signal, body: bytes) -> int:
    """How many spans, log records or metric points the request holds.

    Only what protobuf itself demands is checked: ids of any length and times in any order are the sender's to know.

    Raises:
        Refused: MALFORMED, as `parse` says.
    """
    request = parse(signal, body)
    match signal:
        case Signal.TRACES:
            return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        case Signal.LOGS:
            return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)
        case Signal.METRICS:
            scopes = (scope for resource in request.resource_metrics for scope in resource.scope_metrics)
            return sum(len(points(metric)) for scope in scopes for metric in scope.metrics)


def points(metric: Metric) -> ...:
