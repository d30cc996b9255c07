"""Requests read message by message with upb: metrics, small batches of traces and logs, and what `columnar` cannot.

Slower than columns for many records (and it holds the GIL), quicker for few. It is also what `columnar` is tested
against: the two must agree on every well-formed request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_exporter.decode import anyvalue
from otel_exporter.decode.door import PATH, parse
from otel_exporter.decode.points import add_metric
from otel_exporter.decode.rows import Rows
from processors.batch import Batch, Signal


def walk(signal: Signal, requests: Sequence[bytes], tenant: str) -> Batch:
    """All records of ``requests`` as columns.

    Raises:
        Refused: MALFORMED: a request is not protobuf; those that passed `validate` are.
    """
    rows = Rows(signal)
    for body in requests:
        _add_request(rows, signal, parse(signal, body))
    return rows.batch(tenant)


def _add_request(rows: Rows, signal: Signal, request: Any) -> None:
    resources, scopes, records = PATH[signal]
    add_record = _ADD[signal]
    for group in getattr(request, resources):
        resource = rows.add("resource", group.schema_url, attributes=group.resource.attributes)
        for inner in getattr(group, scopes):
            about = inner.scope
            scope = rows.add(
                "scope", resource, about.name, about.version, inner.schema_url, attributes=about.attributes
            )
            for record in getattr(inner, records):
                add_record(rows, resource, scope, record)


def _add_span(rows: Rows, resource: int, scope: int, span: Span) -> None:
    record = rows.add(
        "record",
        resource,
        scope,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code,
        span.status.message,
        span.flags,
        attributes=span.attributes,
    )
    for event in span.events:
        rows.add("event", record, event.time_unix_nano, event.name, attributes=event.attributes)
    for link in span.links:
        ids = (link.trace_id.hex(), link.span_id.hex())
        rows.add("link", record, *ids, link.trace_state, attributes=link.attributes)


def _add_log(rows: Rows, resource: int, scope: int, log: LogRecord) -> None:
    rows.add(
        "record",
        resource,
        scope,
        log.time_unix_nano,
        log.observed_time_unix_nano,
        log.severity_number,
        log.severity_text,
        log.event_name,
        *anyvalue.text(log.body),
        log.trace_id.hex(),
        log.span_id.hex(),
        log.flags,
        attributes=log.attributes,
    )


_ADD: Final[dict[Signal, Callable[[Rows, int, int, Any], None]]] = {
    Signal.TRACES: _add_span,
    Signal.LOGS: _add_log,
    Signal.METRICS: add_metric,
}
