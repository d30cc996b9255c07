"""One request of each signal that says everything OTLP can say, and, by hand, the rows that must come of it."""

from __future__ import annotations

import time
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

LEAST, MOST, ALL_BITS = -(2**63), 2**63 - 1, 2**64 - 1
#: An hour ago, with nanoseconds: the tables forget what is older than a month.
NOW: Final = (int(time.time()) - 3600) * 10**9 + 123_456_789
_HOSTILE: Final = "'; DROP TABLE otel_traces -- \\' \\\\ \" ` {x:String}\n\n\t\0 %s"
_UNICODE: Final = "ü 日本語 𝄞 👩‍👩‍👧 \u2028 \ufeff \u0301"


def _array(*values: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=values))


def _map(**values: AnyValue) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=key, value=values[key]) for key in values]))


#: Every kind of value: attribute name -> the value, and its text in the tables.
KINDS: Final[dict[str, tuple[AnyValue, str]]] = {
    "string": (AnyValue(string_value="plain"), "plain"),
    "string.empty": (AnyValue(string_value=""), ""),
    "string.unicode": (AnyValue(string_value=_UNICODE), _UNICODE),
    "string.hostile": (AnyValue(string_value=_HOSTILE), _HOSTILE),
    "string.long": (AnyValue(string_value="é" * 50_000), "é" * 50_000),
    "bool.true": (AnyValue(bool_value=True), "true"),
    "bool.false": (AnyValue(bool_value=False), "false"),
    "int.zero": (AnyValue(int_value=0), "0"),
    "int.least": (AnyValue(int_value=LEAST), "-9223372036854775808"),
    "int.most": (AnyValue(int_value=MOST), "9223372036854775807"),
    "double.whole": (AnyValue(double_value=1.0), "1"),
    "double.tenth": (AnyValue(double_value=0.1), "0.1"),
    "double.least": (AnyValue(double_value=5e-324), "5e-324"),
    "double.most": (AnyValue(double_value=1.7976931348623157e308), "1.7976931348623157e+308"),
    "double.minus_zero": (AnyValue(double_value=-0.0), "-0"),
    "double.infinite": (AnyValue(double_value=float("-inf")), "-Infinity"),
    "double.nan": (AnyValue(double_value=float("nan")), "NaN"),
    "bytes": (AnyValue(bytes_value=b"\x00\xffhi"), "AP9oaQ=="),
    "bytes.empty": (AnyValue(bytes_value=b""), ""),
    "array": (_array(AnyValue(string_value="é"), AnyValue(int_value=MOST), AnyValue()), f'["é",{MOST},null]'),
    "array.empty": (_array(), "[]"),
    "map": (_map(z=AnyValue(bool_value=True), a=_array(AnyValue(double_value=0.5))), '{"z":true,"a":[0.5]}'),
    "map.empty": (_map(), "{}"),
    "map.nested": (_map(one=_map(two=_map(b=AnyValue(bytes_value=b"\xff")))), '{"one":{"two":{"b":"/w=="}}}'),
    "nothing": (AnyValue(), ""),
    "": (AnyValue(string_value="a name that is empty"), "a name that is empty"),
    "ключ 👋": (AnyValue(string_value="a name beyond ASCII"), "a name beyond ASCII"),
}
ATTRIBUTES: Final = [KeyValue(key=key, value=value) for key, (value, _) in KINDS.items()]
TEXTS: Final = {key: text for key, (_, text) in KINDS.items()}
SERVICE: Final = "Dienst für Alles"
RESOURCE: Final = [KeyValue(key="service.name", value=AnyValue(string_value=SERVICE)), *ATTRIBUTES]
RESOURCE_TEXTS: Final = {"service.name": SERVICE, **TEXTS}
SCOPE: Final = {"name": "scope/é", "version": "1.0.0-rc.1+b", "attributes": ATTRIBUTES}

TRACES_SQL: Final = """
SELECT toUnixTimestamp64Nano(Timestamp) AS at, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind,
  ServiceName, ResourceAttributes, ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage,
  arrayMap(x -> toUnixTimestamp64Nano(x), Events.Timestamp) AS events_at, Events.Name AS events,
  Events.Attributes AS event_attributes, Links.TraceId AS link_traces, Links.SpanId AS link_spans,
  Links.TraceState AS link_states, Links.Attributes AS link_attributes
FROM otel_traces WHERE TraceId = '{trace}' ORDER BY SpanId
"""


def traces(trace_id: bytes) -> ExportTraceServiceRequest:
    """A span that says everything and one that says next to nothing."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add(schema_url="https://example.org/resource")
    block.resource.attributes.extend(RESOURCE)
    inside = block.scope_spans.add(scope=SCOPE, schema_url="https://example.org/scope")
    full = inside.spans.add(
        trace_id=trace_id,
        span_id=b"\xff" * 8,
        parent_span_id=bytes(7) + b"\1",
        trace_state="vendor=ü,other=1",
        name="GET /é 👋",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=NOW,
        end_time_unix_nano=ALL_BITS,
        attributes=ATTRIBUTES,
        flags=0x101,
        status=Status(code=Status.STATUS_CODE_ERROR, message="went wrong: ü"),
    )
    full.events.add(time_unix_nano=NOW + 1, name="first", attributes=ATTRIBUTES)
    full.events.add(time_unix_nano=NOW + 2)
    full.links.add(trace_id=b"\xab" * 16, span_id=b"\xcd" * 8, trace_state="l=1", attributes=ATTRIBUTES)
    full.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    inside.spans.add(trace_id=trace_id, span_id=bytes(7) + b"\1", start_time_unix_nano=NOW, end_time_unix_nano=NOW)
    return request


def span_rows(trace_id: bytes) -> list[dict[str, Any]]:
    """What `TRACES_SQL` answers when `traces` was stored faithfully."""
    both = {
        "at": NOW,
        "TraceId": trace_id.hex(),
        "ServiceName": SERVICE,
        "ResourceAttributes": RESOURCE_TEXTS,
        "ScopeName": "scope/é",
        "ScopeVersion": "1.0.0-rc.1+b",
    }
    bare = both | {
        "SpanId": "0000000000000001",
        "ParentSpanId": "",
        "TraceState": "",
        "SpanName": "",
        "SpanKind": "Unspecified",
        "SpanAttributes": {},
        "Duration": 0,
        "StatusCode": "Unset",
        "StatusMessage": "",
        "events_at": [],
        "events": [],
        "event_attributes": [],
        "link_traces": [],
        "link_spans": [],
        "link_states": [],
        "link_attributes": [],
    }
    full = both | {
        "SpanId": "ffffffffffffffff",
        "ParentSpanId": "0000000000000001",
        "TraceState": "vendor=ü,other=1",
        "SpanName": "GET /é 👋",
        "SpanKind": "Client",
        "SpanAttributes": TEXTS,
        "Duration": ALL_BITS - NOW,
        "StatusCode": "Error",
        "StatusMessage": "went wrong: ü",
        "events_at": [NOW + 1, NOW + 2],
        "events": ["first", ""],
        "event_attributes": [TEXTS, {}],
        "link_traces": ["ab" * 16, "01" * 16],
        "link_spans": ["cd" * 8, "02" * 8],
        "link_states": ["l=1", ""],
        "link_attributes": [TEXTS, {}],
    }
    return [bare, full]


LOGS_SQL: Final = """
SELECT toUnixTimestamp64Nano(Timestamp) AS at, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber, ServiceName,
  Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, LogAttributes,
  EventName
FROM otel_logs WHERE TraceId = '{trace}' ORDER BY Timestamp
"""


def logs(trace_id: bytes) -> ExportLogsServiceRequest:
    """One record per kind of body, a nanosecond apart; the last one knows only when it was observed."""
    request = ExportLogsServiceRequest()
    block = request.resource_logs.add(schema_url="https://example.org/resource")
    block.resource.attributes.extend(RESOURCE)
    inside = block.scope_logs.add(scope=SCOPE, schema_url="https://example.org/scope")
    for number, (value, _) in enumerate(KINDS.values()):
        inside.log_records.add(
            time_unix_nano=NOW + number,
            observed_time_unix_nano=NOW + 10**9,
            severity_number=24,  # type: ignore[arg-type]
            severity_text="FATAL4",
            event_name="my.event",
            body=value,
            attributes=ATTRIBUTES,
            trace_id=trace_id,
            span_id=b"\xfe" * 8,
            flags=0x1FF,
        )
    inside.log_records.add(observed_time_unix_nano=NOW + 2 * 10**9, trace_id=trace_id)
    return request


def log_rows(trace_id: bytes) -> list[dict[str, Any]]:
    """What `LOGS_SQL` answers when `logs` was stored faithfully."""
    every = {
        "TraceId": trace_id.hex(),
        "ServiceName": SERVICE,
        "ResourceSchemaUrl": "https://example.org/resource",
        "ResourceAttributes": RESOURCE_TEXTS,
        "ScopeSchemaUrl": "https://example.org/scope",
        "ScopeName": "scope/é",
        "ScopeVersion": "1.0.0-rc.1+b",
        "ScopeAttributes": TEXTS,
    }
    said = every | {
        "SpanId": "fe" * 8,
        "TraceFlags": 255,
        "SeverityText": "FATAL4",
        "SeverityNumber": 24,
        "LogAttributes": TEXTS,
        "EventName": "my.event",
    }
    silent = every | {
        "at": NOW + 2 * 10**9,
        "SpanId": "",
        "TraceFlags": 0,
        "SeverityText": "",
        "SeverityNumber": 0,
        "Body": "",
        "LogAttributes": {},
        "EventName": "",
    }
    return [*(said | {"at": NOW + number, "Body": text} for number, text in enumerate(TEXTS.values())), silent]


_POINT: Final = {"attributes": ATTRIBUTES, "start_time_unix_nano": NOW, "time_unix_nano": NOW + 1, "flags": 1}
_EXEMPLAR: Final = {"filtered_attributes": ATTRIBUTES, "time_unix_nano": NOW + 2, "as_int": 7, "span_id": b"\xaa" * 8}
_MIN_MAX: Final = {"count": ALL_BITS, "sum": 1.5, "min": -5e-324, "max": 1e300}


def metrics(unit: str) -> ExportMetricsServiceRequest:
    """One point of every kind of metric; ``unit`` tells one sending from another."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add(schema_url="https://example.org/resource")
    block.resource.attributes.extend(RESOURCE)
    inside = block.scope_metrics.add(scope=SCOPE, schema_url="https://example.org/scope")
    named = {"name": "m/é", "description": "what it is", "unit": unit}
    number = _POINT | {"exemplars": [_EXEMPLAR]}
    inside.metrics.add(**named, gauge={"data_points": [number | {"as_double": 0.1}]})
    temporal = {"aggregation_temporality": 2}
    inside.metrics.add(**named, sum={"data_points": [number | {"as_int": -(2**53)}], "is_monotonic": True, **temporal})
    buckets = {"bucket_counts": [ALL_BITS, 0], "explicit_bounds": [0.1]}
    inside.metrics.add(**named, histogram={"data_points": [number | _MIN_MAX | buckets], **temporal})
    exponential = {
        "scale": -(2**31),
        "zero_count": ALL_BITS,
        "positive": {"offset": 2**31 - 1, "bucket_counts": [ALL_BITS]},
        "negative": {"offset": -(2**31), "bucket_counts": [1, 2]},
    }
    inside.metrics.add(**named, exponential_histogram={"data_points": [number | _MIN_MAX | exponential], **temporal})
    quantiles = {"count": ALL_BITS, "sum": 1.5, "quantile_values": [{"quantile": 0.99, "value": 2.5}]}
    inside.metrics.add(**named, summary={"data_points": [_POINT | quantiles]})
    return request


def metric_rows(unit: str) -> dict[str, dict[str, Any]]:
    """Per table, the columns of its one row when `metrics` was stored faithfully."""
    point = {
        "ServiceName": SERVICE,
        "ResourceAttributes": RESOURCE_TEXTS,
        "ResourceSchemaUrl": "https://example.org/resource",
        "ScopeName": "scope/é",
        "ScopeVersion": "1.0.0-rc.1+b",
        "ScopeAttributes": TEXTS,
        "ScopeSchemaUrl": "https://example.org/scope",
        "MetricName": "m/é",
        "MetricDescription": "what it is",
        "MetricUnit": unit,
        "Attributes": TEXTS,
        "Flags": 1,
        "toUnixTimestamp64Nano(StartTimeUnix)": NOW,
        "toUnixTimestamp64Nano(TimeUnix)": NOW + 1,
    }
    sampled = point | {
        "Exemplars.FilteredAttributes": [TEXTS],
        "arrayMap(x -> toUnixTimestamp64Nano(x), Exemplars.TimeUnix)": [NOW + 2],
        "Exemplars.Value": [7],
        "Exemplars.SpanId": ["aa" * 8],
        "Exemplars.TraceId": [""],
    }
    bounded = sampled | {"Count": ALL_BITS, "Sum": 1.5, "Min": -5e-324, "Max": 1e300, "AggregationTemporality": 2}
    return {
        "otel_metrics_gauge": sampled | {"Value": 0.1},
        "otel_metrics_sum": sampled | {"Value": -(2**53), "AggregationTemporality": 2, "IsMonotonic": True},
        "otel_metrics_histogram": bounded | {"BucketCounts": [ALL_BITS, 0], "ExplicitBounds": [0.1]},
        "otel_metrics_exponential_histogram": bounded
        | {
            "Scale": -(2**31),
            "ZeroCount": ALL_BITS,
            "PositiveOffset": 2**31 - 1,
            "PositiveBucketCounts": [ALL_BITS],
            "NegativeOffset": -(2**31),
            "NegativeBucketCounts": [1, 2],
        },
        "otel_metrics_summary": point
        | {
            "Count": ALL_BITS,
            "Sum": 1.5,
            "ValueAtQuantiles.Quantile": [0.99],
            "ValueAtQuantiles.Value": [2.5],
        },
    }
