"""A plain walk over parsed OTLP messages into a `Batch`: slow, obvious, and independent of the decoder."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import polars as pl
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from processors.batch import ATTRIBUTES, EVENTS, LINKS, RECORDS, RESOURCES, SCOPES, Batch, Signal, empty


def walk(signal: Signal, body: bytes, tenant: str = "t") -> Batch:
    """The batch of one serialized export request."""
    walker = _Walker()
    if signal is Signal.TRACES:
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in walker.scopes_of(part, part.scope_spans):
                for span in scope.spans:
                    walker.span(span)
    else:
        for part in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in walker.scopes_of(part, part.scope_logs):
                for record in scope.log_records:
                    walker.log(record)
    return empty(signal, tenant).with_frames(
        resources=pl.DataFrame(walker.resources, RESOURCES, orient="row"),
        scopes=pl.DataFrame(walker.scopes, SCOPES, orient="row"),
        records=pl.DataFrame(walker.records, RECORDS[signal], orient="row"),
        events=pl.DataFrame(walker.events, EVENTS, orient="row"),
        links=pl.DataFrame(walker.links, LINKS, orient="row"),
        attributes=pl.DataFrame(walker.attributes, ATTRIBUTES, orient="row"),
    )


class _Walker:
    def __init__(self) -> None:
        self.resources: list[tuple[Any, ...]] = []
        self.scopes: list[tuple[Any, ...]] = []
        self.records: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        self.links: list[tuple[Any, ...]] = []
        self.attributes: list[tuple[Any, ...]] = []

    def scopes_of(self, part: Any, scopes: Iterable[Any]) -> Iterable[Any]:
        self._attributes("resource", len(self.resources), part.resource.attributes)
        resource = len(self.resources)
        self.resources.append((resource, part.schema_url))
        for scope in scopes:
            self._attributes("scope", len(self.scopes), scope.scope.attributes)
            self.scopes.append((len(self.scopes), resource, scope.scope.name, scope.scope.version, scope.schema_url))
            yield scope

    def span(self, span: Any) -> None:
        record = self._record(span.attributes)
        self.records.append(
            (
                *record, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.trace_state, span.name,
                span.kind, span.start_time_unix_nano, span.end_time_unix_nano, span.status.code, span.status.message,
                span.flags,
            )
        )  # fmt: skip
        for event in span.events:
            self._attributes("event", len(self.events), event.attributes)
            self.events.append((len(self.events), record[0], event.time_unix_nano, event.name))
        for link in span.links:
            self._attributes("link", len(self.links), link.attributes)
            self.links.append(
                (len(self.links), record[0], link.trace_id.hex(), link.span_id.hex(), link.trace_state)
            )

    def log(self, log: Any) -> None:
        body_type, body = text_of(log.body)
        self.records.append(
            (
                *self._record(log.attributes), log.time_unix_nano, log.observed_time_unix_nano, log.severity_number,
                log.severity_text, log.event_name, body_type, body, log.trace_id.hex(), log.span_id.hex(), log.flags,
            )
        )  # fmt: skip

    def _record(self, attributes: Iterable[KeyValue]) -> tuple[int, int, int]:
        self._attributes("record", len(self.records), attributes)
        return len(self.records), self.scopes[-1][1], len(self.scopes) - 1

    def _attributes(self, level: str, owner: int, attributes: Iterable[KeyValue]) -> None:
        self.attributes.extend((level, owner, pair.key, *text_of(pair.value)) for pair in attributes)


def text_of(value: AnyValue) -> tuple[str, str | None]:
    """An AnyValue as (type, text)."""
    kind = value.WhichOneof("value")
    if kind is None:
        return "empty", None
    plain = plain_of(value)
    name = kind.removesuffix("_value")
    if name in ("array", "kvlist"):
        return name, json.dumps(plain, ensure_ascii=False)
    if name == "bool":
        return name, "true" if plain else "false"
    return name, plain if isinstance(plain, str) else repr(plain)


def plain_of(value: AnyValue) -> Any:
    """An AnyValue as plain Python."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain_of(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain_of(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind else None
