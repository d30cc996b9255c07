"""Decode: OTLP bytes become the batch, by either route the same."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from polars.testing import assert_frame_equal

from clickhouse_schema.store import Store
from otel_exporter.decode import Decoder, anyvalue, canonical, columnar, validate, walk
from otel_exporter.failures import Reason, Refused
from otel_exporter.telemetry import REGISTRY
from processors.batch import Batch, Signal, concat
from tests.wire.otlp_strategies import any_values, bodies, doubles, requests

FUZZED = Path(__file__).parent.parent / "fuzz" / "corpus"
COLUMNAR = (Signal.TRACES, Signal.LOGS)
some = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A chDB of this module."""
    with Store.embedded(tmp_path_factory.mktemp("decode")) as store:
        yield store


def assert_same(left: Batch, right: Batch) -> None:
    """Every frame equal: schema, order, values (NaN equals NaN)."""
    for field in fields(Batch):
        mine, theirs = getattr(left, field.name), getattr(right, field.name)
        if isinstance(mine, pl.DataFrame):
            assert_frame_equal(mine, theirs, check_exact=True)
        else:
            assert mine == theirs


def traces(**span: Any) -> bytes:
    """A request with one span."""
    scope = {"scope": {"name": "s"}, "spans": [span]}
    return ExportTraceServiceRequest(resource_spans=[{"scope_spans": [scope]}]).SerializeToString()


def points(**metric: Any) -> Batch:
    """One metric, decoded."""
    scope = {"metrics": [{"name": "m", "description": "d", "unit": "u", **metric}]}
    request = ExportMetricsServiceRequest(resource_metrics=[{"scope_metrics": [scope]}])
    assert validate(Signal.METRICS, request.SerializeToString()) == 1
    return walk(Signal.METRICS, [request.SerializeToString()], "t")


def fallbacks(signal: Signal) -> float:
    """How many batches were walked because columns failed."""
    return REGISTRY.get_sample_value("tokentide_decode_fallbacks_total", {"signal": signal.value}) or 0


@pytest.mark.parametrize("signal", COLUMNAR)
def test_both_routes_give_the_same_batch(signal: Signal, store: Store) -> None:
    """Whatever well-formed requests arrive, ClickHouse's reader and upb produce equal frames."""

    @some
    @given(bodies(signal))
    @example([])
    @example([b""])
    @example([b"\n\x00\n\x02\x12\x00"])
    def check(requests: list[bytes]) -> None:
        assert_same(columnar.decode(store, signal, requests, "t"), walk(signal, requests, "t"))

    check()


@pytest.mark.parametrize("signal", COLUMNAR)
def test_both_routes_read_what_serializers_do_not_send(signal: Signal, store: Store) -> None:
    """Fields sent twice, groups, other wire types: as the door hands them on, both routes read what upb reads."""
    odd = [path.read_bytes() for path in sorted((FUZZED / signal.value).glob("*.bin"))]
    assert len(odd) > 3
    for body in odd:
        try:
            read, records = canonical(signal, body)
        except Refused:
            continue
        assert canonical(signal, read) == (read, records)
        assert_same(walk(signal, [read], "t"), walk(signal, [body], "t"))
        assert_same(columnar.decode(store, signal, [read], "t"), walk(signal, [body], "t"))


@pytest.mark.parametrize("signal", Signal)
def test_every_record_that_was_counted_is_a_row(signal: Signal) -> None:
    """The number the door counts is the number of rows, and indexes run from 0 in order of appearance."""

    @some
    @given(bodies(signal))
    def check(requests: list[bytes]) -> None:
        batch = walk(signal, requests, "t")
        assert batch.records.height == sum(validate(signal, body) for body in requests)
        for frame in (batch.resources, batch.scopes, batch.records, batch.events, batch.links, batch.exemplars):
            assert frame.to_series(0).to_list() == list(range(frame.height))
        assert batch.attributes.equals(batch.attributes.sort("level", "owner", maintain_order=True))

    check()


@pytest.mark.parametrize("signal", Signal)
def test_a_batch_of_requests_is_the_batches_of_the_requests(signal: Signal) -> None:
    """Decoding requests together is decoding each alone and joining the batches (attributes by level, then owner)."""

    @some
    @given(st.lists(requests[signal].map(lambda request: request.SerializeToString()), min_size=1, max_size=3))
    def check(requests: list[bytes]) -> None:
        joined = concat([walk(signal, [body], "t") for body in requests])
        in_order = joined.attributes.sort("level", "owner", maintain_order=True)
        assert_same(walk(signal, requests, "t"), joined.with_frames(attributes=in_order))

    check()


def test_a_trace_as_it_should_be(store: Store) -> None:
    """One hand-written request gives exactly these rows, so that the two routes are not wrong together."""
    request = ExportTraceServiceRequest(
        resource_spans=[
            {"schema_url": "empty"},
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"string_value": "app"}}]},
                "schema_url": "r",
                "scope_spans": [
                    {
                        "scope": {"name": "lib", "version": "1", "attributes": [{"key": "x"}]},
                        "schema_url": "s",
                        "spans": [
                            {},
                            {
                                "trace_id": b"\xab" * 16,
                                "span_id": b"\x01" * 8,
                                "parent_span_id": b"\x02" * 8,
                                "trace_state": "a=b",
                                "name": "chat",
                                "kind": 3,
                                "start_time_unix_nano": 1,
                                "end_time_unix_nano": 2**64 - 1,
                                "attributes": [
                                    {"key": "n", "value": {"int_value": 0}},
                                    {"key": "", "value": {"string_value": ""}},
                                ],
                                "events": [
                                    {"time_unix_nano": 5, "name": "e", "attributes": [{"key": "k", "value": {}}]}
                                ],
                                "links": [{"trace_id": b"\x00", "span_id": b"", "trace_state": "l"}],
                                "status": {"code": 2, "message": "no"},
                                "flags": 257,
                            },
                        ],
                    }
                ],
            },
        ]
    ).SerializeToString()
    for batch in (walk(Signal.TRACES, [request], "me"), columnar.decode(store, Signal.TRACES, [request], "me")):
        assert (batch.signal, batch.tenant) == (Signal.TRACES, "me")
        assert batch.resources.rows() == [(0, "empty"), (1, "r")]
        assert batch.scopes.rows() == [(0, 1, "lib", "1", "s")]
        assert batch.records.rows() == [
            (0, 1, 0, "", "", "", "", "", 0, 0, 0, 0, "", 0),
            (1, 1, 0, "ab" * 16, "01" * 8, "02" * 8, "a=b", "chat", 3, 1, 2**64 - 1, 2, "no", 257),
        ]
        assert batch.events.rows() == [(0, 1, 5, "e")]
        assert batch.links.rows() == [(0, 1, "00", "", "l")]
        assert batch.attributes.rows() == [
            ("resource", 1, "service.name", "string", "app"),
            ("scope", 0, "x", "empty", ""),
            ("record", 1, "n", "int", "0"),
            ("record", 1, "", "string", ""),
            ("event", 0, "k", "empty", ""),
        ]


VALUES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "empty", ""),
    ({"string_value": ""}, "string", ""),
    ({"string_value": "ü\n\0"}, "string", "ü\n\0"),
    ({"string_value": "é" * 100}, "string", "é" * 100),
    ({"string_value": "x" * 70_000}, "string", "x" * 70_000),
    ({"string_value": "y" * 2_500_000}, "string", "y" * 2_500_000),
    ({"bool_value": False}, "bool", "false"),
    ({"bool_value": True}, "bool", "true"),
    ({"int_value": 0}, "int", "0"),
    ({"int_value": -(2**63)}, "int", str(-(2**63))),
    ({"double_value": 0.0}, "double", "0"),
    ({"double_value": -0.0}, "double", "-0"),
    ({"double_value": 12.0}, "double", "12"),
    ({"double_value": 0.1}, "double", "0.1"),
    ({"double_value": 1.5e-05}, "double", "0.000015"),
    ({"double_value": 1e-07}, "double", "1e-7"),
    ({"double_value": 1e20}, "double", "100000000000000000000"),
    ({"double_value": 1e21}, "double", "1e+21"),
    ({"double_value": math.nan}, "double", "NaN"),
    ({"double_value": -math.inf}, "double", "-Infinity"),
    ({"bytes_value": b""}, "bytes", ""),
    ({"bytes_value": b"\xff\xfe"}, "bytes", "//4="),
    ({"array_value": {}}, "array", "[]"),
    (
        {
            "array_value": {
                "values": [
                    {},
                    {"int_value": 7},
                    {"double_value": 2.0},
                    {"double_value": math.nan},
                    {"string_value": "ü<"},
                ]
            }
        },
        "array",
        '[null,7,2,"NaN","ü<"]',
    ),
    (
        {
            "kvlist_value": {
                "values": [
                    {"key": "B", "value": {"bytes_value": b"\x00"}},
                    {"key": "a", "value": {"int_value": 1}},
                    {
                        "key": "a",
                        "value": {"kvlist_value": {"values": [{"key": "deep", "value": {"bool_value": True}}]}},
                    },
                ]
            }
        },
        "kvlist",
        '{"B":"AA==","a":{"deep":true}}',
    ),
]


@pytest.mark.parametrize(("value", "kind", "text"), VALUES, ids=lambda value: str(value)[:40])
def test_the_text_of_a_value(value: dict[str, Any], kind: str, text: str) -> None:
    """Every kind of AnyValue has this type and this text, on both routes."""
    message = AnyValue(**value)
    assert anyvalue.text(message) == (kind, text)
    assert anyvalue.columns(pl.Series([message.SerializeToString()])).rows() == [(kind, text)]


@some
@given(st.lists(any_values, max_size=20))
def test_columns_of_values_are_the_texts_of_the_values(values: list[AnyValue]) -> None:
    """Values read as a column, in any mixture and order, are those read one by one."""
    serialized = pl.Series([value.SerializeToString() for value in values], dtype=pl.Binary)
    assert anyvalue.columns(serialized).rows() == [anyvalue.text(value) for value in values]


@settings(max_examples=500, deadline=None)
@given(doubles | st.floats(1e-7, 1e-3) | st.floats(1e14, 1e22))
def test_a_double_is_read_back_from_its_text(number: float) -> None:
    """The text of a double loses nothing, and column operations write the same text as Python."""
    text = anyvalue.double_text(number)
    assert float(text) == number or math.isnan(number)
    assert anyvalue.columns(pl.Series([AnyValue(double_value=number).SerializeToString()])).rows() == [("double", text)]


TIMES = {"start_time_unix_nano": 1, "time_unix_nano": 2, "flags": 1}
SPREAD = {"count": 3, "sum": 0.0, "max": 9.0}
METRICS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("gauge", {"gauge": {"data_points": [{**TIMES, "as_int": 0}]}}, {"value": 0.0}),
    ("gauge", {"gauge": {"data_points": [TIMES]}}, {"value": None}),
    (
        "sum",
        {"sum": {"data_points": [{**TIMES, "as_double": 1.5}], "aggregation_temporality": 2, "is_monotonic": True}},
        {"value": 1.5, "temporality": 2, "monotonic": True},
    ),
    (
        "histogram",
        {
            "histogram": {
                "data_points": [{**TIMES, **SPREAD, "bucket_counts": [1, 2**64 - 1], "explicit_bounds": [0.5]}]
            }
        },
        {**SPREAD, "temporality": 0, "bucket_counts": [1, 2**64 - 1], "explicit_bounds": [0.5]},
    ),
    (
        "exponential_histogram",
        {
            "exponential_histogram": {
                "data_points": [
                    {
                        **TIMES,
                        **SPREAD,
                        "scale": -2,
                        "zero_count": 4,
                        "zero_threshold": 0.1,
                        "positive": {"offset": -1, "bucket_counts": [1]},
                    }
                ],
                "aggregation_temporality": 1,
            }
        },
        {
            **SPREAD,
            "temporality": 1,
            "scale": -2,
            "zero_count": 4,
            "zero_threshold": 0.1,
            "positive_offset": -1,
            "positive_bucket_counts": [1],
            "negative_offset": 0,
            "negative_bucket_counts": [],
        },
    ),
    (
        "summary",
        {
            "summary": {
                "data_points": [{**TIMES, "count": 2, "sum": 3.0, "quantile_values": [{"quantile": 0.5, "value": 7.0}]}]
            }
        },
        {"count": 2, "sum": 3.0, "quantiles": [0.5], "quantile_values": [7.0]},
    ),
]


@pytest.mark.parametrize(("kind", "metric", "said"), METRICS, ids=[case[0] for case in METRICS])
def test_a_point_of_every_kind(kind: str, metric: dict[str, Any], said: dict[str, Any]) -> None:
    """A point's row holds what its kind has, and null in every column that it has not."""
    row = points(**metric).records.row(0, named=True)
    shared = {"record": 0, "resource": 0, "scope": 0, "name": "m", "description": "d", "unit": "u"}
    expected = {**shared, "kind": kind, "start": 1, "time": 2, "flags": 1, **said}
    assert {name: value for name, value in row.items() if value is not None or name in expected} == expected


def test_exemplars_belong_to_their_point() -> None:
    """An exemplar is a row of its own, with its ids, its number and its attributes."""
    exemplar = {
        "filtered_attributes": [{"key": "a", "value": {"bool_value": False}}],
        "time_unix_nano": 3,
        "as_int": -4,
        "trace_id": b"\x0f",
        "span_id": b"\xf0",
    }
    batch = points(gauge={"data_points": [{"as_int": 1, "exemplars": [{}, exemplar]}]})
    assert batch.exemplars.rows() == [(0, 0, 0, None, "", ""), (1, 0, 3, -4.0, "f0", "0f")]
    assert batch.attributes.rows() == [("exemplar", 1, "a", "bool", "false")]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(Signal), st.binary(max_size=60))
def test_any_bytes_are_counted_or_refused(signal: Signal, body: bytes) -> None:
    """Random bytes are a request or MALFORMED, and the sentence does not depend on them."""
    try:
        assert validate(signal, body) >= 0
    except Refused as refused:
        assert refused.reason is Reason.MALFORMED
        with pytest.raises(Refused) as other:
            validate(signal, b"\x01")
        assert refused.sentence == other.value.sentence


def test_a_recursion_bomb_is_refused_at_the_door() -> None:
    """Values nested without end do not get past the door; a hundred levels of messages do."""

    def nested(levels: int) -> bytes:
        value = AnyValue(string_value="x")
        for _ in range(levels):
            value = AnyValue(array_value={"values": [value]})
        return traces(attributes=[{"key": "a", "value": value}])

    assert validate(Signal.TRACES, nested(46)) == 1
    assert walk(Signal.TRACES, [nested(46)], "t").attributes["value"].item() == "[" * 46 + '"x"' + "]" * 46
    with pytest.raises(Refused):
        validate(Signal.TRACES, nested(48))


def test_small_batches_and_metrics_never_ask_clickhouse() -> None:
    """The engine sees only batches of traces and logs that are worth a query."""

    class Counting:
        asked = 0

        def arrow_bytes(self, sql: str) -> bytes:
            self.asked += 1
            raise RuntimeError

    engine = Counting()
    Decoder(engine).decode(Signal.TRACES, [traces(name="a")], "t")
    Decoder(engine, small_bytes=0).decode(Signal.METRICS, [], "t")
    assert engine.asked == 0
    Decoder(engine, small_bytes=1).decode(Signal.TRACES, [traces(name="a")], "t")
    assert engine.asked == 1


@pytest.mark.parametrize(
    "odd", [b"\x3a\x03abc", b"\xfb\x3f\x08\x01\xfc\x3f"], ids=["start time as text", "unknown group"]
)
def test_what_clickhouse_cannot_read_is_walked(odd: bytes, store: Store) -> None:
    """Bytes that upb takes and ClickHouse does not, which no OTLP sender writes, are decoded all the same."""
    request = ExportTraceServiceRequest.FromString(traces(name="odd"))
    request.resource_spans[0].scope_spans[0].spans[0].MergeFromString(odd)
    body, before = request.SerializeToString(), fallbacks(Signal.TRACES)
    decoder = Decoder(store, small_bytes=0)
    assert_same(decoder.decode(Signal.TRACES, [body], "t"), walk(Signal.TRACES, [body], "t"))
    assert fallbacks(Signal.TRACES) == before + 1
    assert decoder.decode(Signal.TRACES, [traces(name="plain")], "t").records["name"].to_list() == ["plain"]


def test_nothing_is_left_open(store: Store) -> None:
    """Decoding leaves no descriptor behind."""
    decoder = Decoder(store, small_bytes=0)

    def opened() -> int:
        decoder.decode(Signal.TRACES, [traces(name="a")], "t")
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    assert max(opened() for _ in range(20)) <= before


def test_other_handles_may_work_meanwhile(store: Store) -> None:
    """Queries in other threads do not disturb a decoder, nor it them."""
    body = traces(name="n" * 300) * 200
    expected, wrong = walk(Signal.TRACES, [body], "t"), []
    done = threading.Event()

    def query() -> None:
        while not done.is_set():
            if store.raw("SELECT sum(number) FROM numbers(100000)", "TSV") != b"4999950000\n":
                wrong.append("sum")

    threads = [threading.Thread(target=query) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert_same(columnar.decode(store, Signal.TRACES, [body], "t"), expected)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong
