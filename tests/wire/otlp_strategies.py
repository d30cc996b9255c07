"""Random OTLP requests: every kind of value, every level, what is empty, extreme, absent or not known yet."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from processors.batch import Signal

_Built = TypeVar("_Built", bound=Message)

#: Field 1023 of each wire type that proto3 writes, as a newer sender might: varint, 64 bits, length, 32 bits.
UNKNOWN_FIELDS: Final = (
    b"\xf8\x3f\x96\x01",
    b"\xf9\x3f12345678",
    b"\xfa\x3f\x03abc",
    b"\xfd\x3f1234",
)
#: Lengths around those where a string's length takes one more byte.
_LENGTHS: Final = (124, 125, 126, 127, 128, 129, 130, 16_381, 16_382, 16_383, 16_384)

texts = st.text(max_size=12)
long_texts = st.builds(lambda start, length: start + "x" * length, st.text(max_size=1), st.sampled_from(_LENGTHS))
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i32 = st.integers(-(2**31), 2**31 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
#: One NaN only: JSON has no other.
doubles = st.floats(allow_nan=False) | st.sampled_from(
    (math.nan, 0.0, -0.0, 1.0, 1e-5, 1e-6, 9e-7, 1e15, 1e16, 1e21, 5e-324)
)
trace_ids = st.binary(min_size=16, max_size=16) | st.binary(max_size=20)
span_ids = st.binary(min_size=8, max_size=8) | st.binary(max_size=9)


@st.composite
def aged(draw: st.DrawFn, messages: st.SearchStrategy[_Built]) -> _Built:
    """The message, at times with fields that we do not know."""
    message = draw(messages)
    message.MergeFromString(draw(st.just(b"") | st.sampled_from(UNKNOWN_FIELDS)))
    return message


def _few(items: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=most)


def _pairs(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    return _few(aged(st.builds(KeyValue, key=texts, value=values | st.none())))


def _nested(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    arrays = st.builds(ArrayValue, values=_few(values))
    maps = st.builds(KeyValueList, values=_pairs(values))
    return st.builds(AnyValue, array_value=arrays) | st.builds(AnyValue, kvlist_value=maps)


scalars = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=texts | long_texts),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=i64 | st.integers(-3, 300)),
    st.builds(AnyValue, double_value=doubles),
    st.builds(AnyValue, bytes_value=st.binary(max_size=9)),
)
any_values = aged(st.recursive(scalars, _nested, max_leaves=6))
attributes = _pairs(any_values)
resources = aged(st.builds(Resource, attributes=attributes))
scopes = aged(st.builds(InstrumentationScope, name=texts, version=texts, attributes=attributes))

events = aged(st.builds(Span.Event, time_unix_nano=u64, name=texts, attributes=attributes))
links = aged(
    st.builds(Span.Link, trace_id=trace_ids, span_id=span_ids, trace_state=texts, attributes=attributes, flags=u32)
)
spans = aged(
    st.builds(
        Span,
        trace_id=trace_ids,
        span_id=span_ids,
        parent_span_id=span_ids,
        trace_state=texts,
        name=texts,
        kind=i32,
        start_time_unix_nano=u64,
        end_time_unix_nano=u64,
        attributes=attributes,
        events=_few(events, 2),
        links=_few(links, 2),
        status=st.none() | aged(st.builds(Status, code=i32, message=texts)),
        flags=u32,
    )
)
logs = aged(
    st.builds(
        LogRecord,
        time_unix_nano=u64,
        observed_time_unix_nano=u64,
        severity_number=i32,
        severity_text=texts,
        event_name=texts,
        body=st.none() | any_values,
        attributes=attributes,
        trace_id=trace_ids,
        span_id=span_ids,
        flags=u32,
    )
)

exemplars = st.builds(
    Exemplar, filtered_attributes=attributes, time_unix_nano=u64, trace_id=trace_ids, span_id=span_ids, as_int=i64
) | st.builds(Exemplar, as_double=doubles)
_point = {"attributes": attributes, "start_time_unix_nano": u64, "time_unix_nano": u64, "flags": u32}
_sampled = {**_point, "exemplars": _few(exemplars, 2)}
_buckets = st.builds(ExponentialHistogramDataPoint.Buckets, offset=i32, bucket_counts=_few(u64))
_bounds = {"count": u64, "sum": st.none() | doubles, "min": st.none() | doubles, "max": st.none() | doubles}
number_points = (
    st.builds(NumberDataPoint, **_sampled, as_int=i64)
    | st.builds(NumberDataPoint, **_sampled, as_double=doubles)
    | st.builds(NumberDataPoint, **_sampled)
)
histogram_points = st.builds(
    HistogramDataPoint, **_sampled, **_bounds, bucket_counts=_few(u64), explicit_bounds=_few(doubles)
)
exponential_points = st.builds(
    ExponentialHistogramDataPoint,
    **_sampled,
    **_bounds,
    scale=i32,
    zero_count=u64,
    zero_threshold=doubles,
    positive=st.none() | _buckets,
    negative=st.none() | _buckets,
)
_quantiles = _few(st.builds(SummaryDataPoint.ValueAtQuantile, quantile=doubles, value=doubles))
summary_points = st.builds(SummaryDataPoint, **_point, count=u64, sum=doubles, quantile_values=_quantiles)
_temporal = {"aggregation_temporality": i32}
_named = {"name": texts, "description": texts, "unit": texts}
metrics = aged(
    st.one_of(
        st.builds(Metric, **_named),
        st.builds(Metric, **_named, gauge=st.builds(Gauge, data_points=_few(number_points))),
        st.builds(
            Metric,
            **_named,
            sum=st.builds(Sum, data_points=_few(number_points), **_temporal, is_monotonic=st.booleans()),
        ),
        st.builds(Metric, **_named, histogram=st.builds(Histogram, data_points=_few(histogram_points), **_temporal)),
        st.builds(
            Metric,
            **_named,
            exponential_histogram=st.builds(ExponentialHistogram, data_points=_few(exponential_points), **_temporal),
        ),
        st.builds(Metric, **_named, summary=st.builds(Summary, data_points=_few(summary_points))),
    )
)


def _request(
    request: Callable[..., _Built],
    group: Callable[..., Message],
    inner: Callable[..., Message],
    names: tuple[str, str, str],
) -> Callable[[st.SearchStrategy[Any]], st.SearchStrategy[_Built]]:
    groups, inners, records = names

    def build(members: st.SearchStrategy[Any]) -> st.SearchStrategy[_Built]:
        about = {"scope": st.none() | scopes, "schema_url": texts, records: _few(members)}
        inside = {
            "resource": st.none() | resources,
            "schema_url": texts,
            inners: _few(aged(st.builds(inner, **about)), 2),
        }
        return aged(st.builds(request, **{groups: _few(aged(st.builds(group, **inside)), 2)}))

    return build


requests: Final[dict[Signal, st.SearchStrategy[Any]]] = {
    Signal.TRACES: _request(
        ExportTraceServiceRequest, ResourceSpans, ScopeSpans, ("resource_spans", "scope_spans", "spans")
    )(spans),
    Signal.LOGS: _request(
        ExportLogsServiceRequest, ResourceLogs, ScopeLogs, ("resource_logs", "scope_logs", "log_records")
    )(logs),
    Signal.METRICS: _request(
        ExportMetricsServiceRequest, ResourceMetrics, ScopeMetrics, ("resource_metrics", "scope_metrics", "metrics")
    )(metrics),
}


def bodies(signal: Signal) -> st.SearchStrategy[list[bytes]]:
    """Serialized requests of one group commit."""
    return _few(requests[signal].map(lambda request: request.SerializeToString()))
