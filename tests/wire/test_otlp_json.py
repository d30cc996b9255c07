"""OTLP in JSON: the same request in protobuf, or a refusal that says where."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_exporter.decode import validate
from otel_exporter.failures import Reason, Refused
from otel_exporter.otlp_json import to_protobuf
from processors.batch import Signal
from tests.wire.otlp_strategies import requests

IDS = {"traceId", "spanId", "parentSpanId"}
SECRET = "sk-secret"


def as_otlp_json(tree: Any) -> Any:
    """Protobuf's JSON with ids in hexadecimal, alternately in lower and upper case."""
    if isinstance(tree, list):
        return [as_otlp_json(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _hex(value) if key in IDS else as_otlp_json(value) for key, value in tree.items()}


def _hex(base64: str) -> str:
    digits = b64decode(base64).hex()
    return digits.upper() if len(digits) % 4 else digits


def span_of(body: Any) -> Span:
    """The only span of what became of a request."""
    request = ExportTraceServiceRequest.FromString(to_protobuf(Signal.TRACES, json.dumps(body).encode()))
    return request.resource_spans[0].scope_spans[0].spans[0]


def span(**said: Any) -> dict[str, Any]:
    """A request with one span."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": [said]}]}]}


def value(**said: Any) -> dict[str, Any]:
    """A request with one span with one attribute."""
    return span(attributes=[{"key": "a", "value": said}])


def refusal(body: Any) -> str:
    """Why a request was refused."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refused) as refused:
        to_protobuf(Signal.TRACES, raw)
    assert refused.value.reason is Reason.MALFORMED
    assert refused.value.__cause__ is None
    return refused.value.sentence


@pytest.mark.parametrize("signal", Signal)
def test_json_is_the_same_request_as_protobuf(signal: Signal) -> None:
    """Any request written as OTLP/JSON becomes byte for byte the request that was written."""

    @settings(max_examples=60, deadline=None)
    @given(requests[signal])
    def check(request: Message) -> None:
        request.DiscardUnknownFields()
        tree = as_otlp_json(MessageToDict(request, use_integers_for_enums=True))
        assert to_protobuf(signal, json.dumps(tree).encode()) == request.SerializeToString()

    check()


SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"traceId": "0AfF"}, {"trace_id": b"\x0a\xff"}),
    ({"trace_id": "0aff", "start_time_unix_nano": 5}, {"trace_id": b"\x0a\xff", "start_time_unix_nano": 5}),
    ({"startTimeUnixNano": "18446744073709551615"}, {"start_time_unix_nano": 2**64 - 1}),
    ({"startTimeUnixNano": 1e3}, {"start_time_unix_nano": 1000}),
    ({"kind": "SPAN_KIND_CLIENT"}, {"kind": 3}),
    ({"kind": 77}, {"kind": 77}),
    ({"name": None, "new": {"x": [1]}, "events": None}, {}),
    ({"name": "half \ud83d", "traceState": "\ud83d\ude00"}, {"name": "half \ufffd", "trace_state": "\U0001f600"}),
]


@pytest.mark.parametrize(("said", "meant"), SPELLINGS, ids=lambda case: str(case)[:30])
def test_spellings_that_senders_use(said: dict[str, Any], meant: dict[str, Any]) -> None:
    """Upper-case ids, numbers for 64-bit integers, snake_case, enum names, nulls and unknown fields are understood."""
    assert span_of(span(**said)) == Span(**meant)


VALUES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"stringValue": ""}, {"string_value": ""}),
    ({"boolValue": False}, {"bool_value": False}),
    ({"intValue": "-9223372036854775808"}, {"int_value": -(2**63)}),
    ({"intValue": 0}, {"int_value": 0}),
    ({"doubleValue": "Infinity"}, {"double_value": float("inf")}),
    ({"doubleValue": 1}, {"double_value": 1.0}),
    ({"bytesValue": "_-8="}, {"bytes_value": b"\xff\xef"}),
    ({"bytesValue": "/+8"}, {"bytes_value": b"\xff\xef"}),
    ({"arrayValue": {}}, {"array_value": {}}),
    ({"kvlistValue": {"values": [{"key": "k"}]}}, {"kvlist_value": {"values": [{"key": "k"}]}}),
]


@pytest.mark.parametrize(("said", "meant"), VALUES, ids=lambda case: str(case)[:30])
def test_values_keep_their_kind(said: dict[str, Any], meant: dict[str, Any]) -> None:
    """Empty strings, zeros, false and empty lists stay what they are."""
    assert span_of(value(**said)) == Span(attributes=[{"key": "a", "value": meant}])


SPAN = "resourceSpans[0].scopeSpans[0].spans[0]"
VALUE = f"{SPAN}.attributes[0].value"
WRONG: list[tuple[Any, str]] = [
    (span(traceId=SECRET), f"{SPAN}.traceId must be hexadecimal"),
    (span(spanId="abc"), f"{SPAN}.spanId must be hexadecimal"),
    (span(spanId="ab cd"), f"{SPAN}.spanId must be hexadecimal"),
    (span(name=5), f"{SPAN}.name must be a string"),
    (span(kind=SECRET), f"{SPAN}.kind must be a signed integer of 32 bits"),
    (span(kind=True), f"{SPAN}.kind must be a signed integer of 32 bits"),
    (span(startTimeUnixNano=-1), f"{SPAN}.startTimeUnixNano must be an unsigned integer of 64 bits"),
    (span(startTimeUnixNano=2**64), f"{SPAN}.startTimeUnixNano must be an unsigned integer of 64 bits"),
    (span(startTimeUnixNano=1.5), f"{SPAN}.startTimeUnixNano must be an unsigned integer of 64 bits"),
    (span(attributes={}), f"{SPAN}.attributes must be an array"),
    (span(attributes=[{}, None]), f"{SPAN}.attributes[1] must be an object"),
    (span(status=SECRET), f"{SPAN}.status must be an object"),
    (value(doubleValue=SECRET), f"{VALUE}.doubleValue must be a number"),
    (value(doubleValue=True), f"{VALUE}.doubleValue must be a number"),
    (value(boolValue="true"), f"{VALUE}.boolValue must be true or false"),
    (value(bytesValue=f"!{SECRET}"), f"{VALUE}.bytesValue must be base64"),
    (value(arrayValue={"values": [{"intValue": SECRET}]}), f"{VALUE}.arrayValue.values[0].intValue must be"),
    ([SECRET], "it must be an object"),
    (b'{"resourceSpans": ' + SECRET.encode(), "line 1, column 19"),
    (b"\xff\xfe\xfd", "not JSON in UTF-8"),
    (b'{"a": 1' + b"0" * 5_000 + b"}", "absurdly long number"),
    (b"[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("body", "where"), WRONG, ids=[case[1][-40:] for case in WRONG])
def test_a_refusal_says_where_and_quotes_nothing(body: Any, where: str) -> None:
    """What is wrong is named by its path and by what it should be, without a word of the payload."""
    sentence = refusal(body)
    assert where in sentence
    assert SECRET not in sentence


def test_endless_nesting_is_refused() -> None:
    """Values nested deeper than the parser goes are refused, not a crash."""
    deep = value(stringValue="x")
    inner = b'{"arrayValue":{"values":[' * 5_000 + b"]}}" * 5_000
    body = json.dumps(deep).encode().replace(b'{"stringValue": "x"}', inner)
    assert "nested too deeply" in refusal(body)


_KEYS = st.sampled_from(
    ("resourceSpans", "scopeSpans", "spans", "attributes", "value", "kind", "traceId", "intValue", "x")
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_JSON)
def test_any_json_is_a_request_or_refused(tree: Any) -> None:
    """Whatever shape the JSON has, it becomes a valid request or is refused as MALFORMED."""
    try:
        body = to_protobuf(Signal.TRACES, json.dumps(tree).encode())
    except Refused as refused:
        assert refused.reason is Reason.MALFORMED
    else:
        assert validate(Signal.TRACES, body) >= 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans": [], "resourceSpans": [{}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a", "n\\u0061me": "b"}]}]}]}',
        b'{"resourceSpans": [{}], "resource_spans": [{}]}',
    ],
)
def test_a_name_sent_twice_is_refused(body: bytes) -> None:
    """What comes under one name twice, or under both spellings, is refused: one of the two would be lost in silence."""
    with pytest.raises(Refused) as refused:
        to_protobuf(Signal.TRACES, body)
    assert refused.value.reason is Reason.MALFORMED
    assert "twice" in refused.value.sentence or "one name only" in refused.value.sentence


def test_an_enum_named_by_half_a_surrogate_is_refused() -> None:
    """Text that cannot be a name at all is refused like any other wrong name, not an error inside."""
    body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "\\ud800"}]}]}]}'
    with pytest.raises(Refused) as refused:
        to_protobuf(Signal.TRACES, body)
    assert refused.value.reason is Reason.MALFORMED
