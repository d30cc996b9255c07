"""Benchmark traffic of every dialect: the corpus again and again, each time as other calls of other traces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.corpus.cases import DATA, cases

#: Ids of answers, calls and sessions inside the texts.
_ID: Final = re.compile(
    r"\b(chatcmpl-|msg_|resp_|run-|gen-)([A-Za-z0-9=+/_-]{8,})|\b()([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"
)
_APART_NS: Final = 1_000_000


def requests(copies: int, *, first: int = 0) -> Iterator[bytes]:
    """``copies`` requests, each holding every span of the corpus once, with ids that no other has."""
    whole = b"".join(
        file.read_bytes() for case in cases() if (file := DATA / case.producer / f"{case.name}.traces.pb").exists()
    )
    for number in range(first, first + copies):
        yield _copy(ExportTraceServiceRequest.FromString(whole), number).SerializeToString()


def spans(request: bytes) -> int:
    """How many spans a request holds."""
    blocks = ExportTraceServiceRequest.FromString(request).resource_spans
    return sum(len(scope.spans) for block in blocks for scope in block.scope_spans)


def _copy(request: ExportTraceServiceRequest, number: int) -> ExportTraceServiceRequest:
    def other(old: bytes) -> bytes:
        return blake2b(old, digest_size=len(old), key=number.to_bytes(8, "big")).digest() if old else old

    for block in request.resource_spans:
        for scope in block.scope_spans:
            for span in scope.spans:
                span.trace_id, span.span_id = other(span.trace_id), other(span.span_id)
                span.parent_span_id = other(span.parent_span_id)
                span.start_time_unix_nano += number * _APART_NS
                span.end_time_unix_nano += number * _APART_NS
                for attribute in (*span.attributes, *(pair for event in span.events for pair in event.attributes)):
                    _rename(attribute.value, other)
    return request


def _rename(value: AnyValue, other: Callable[[bytes], bytes]) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        value.string_value = _ID.sub(lambda found: _like(found, other), value.string_value)
    elif kind == "array_value":
        for item in value.array_value.values:
            _rename(item, other)


def _like(found: re.Match[str], other: Callable[[bytes], bytes]) -> str:
    """Another id of the same form."""
    head, body = found[1] or "", found[2] or found[4]
    digits = iter(other(blake2b(body.encode()).digest()).hex() * 8)
    return head + "".join(letter if letter in "-_" else next(digits) for letter in body)
