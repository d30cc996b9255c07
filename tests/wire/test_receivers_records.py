"""Too many records in one request are refused, before they cost anything."""

from __future__ import annotations

import json
import resource
import time

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.decode import is_crowded
from otel_exporter.decode.door import PATH, parse, points
from processors.batch import Signal
from tests.wire import otlp_strategies
from tests.wire.receivers_door import JSON, PROTOBUF, door, on_loop, refused, requests, spans
from tests.wire.test_receivers_grpc import failure
from tests.wire.test_receivers_http import TRACES, send, status_in

MANY = 2_000_000
SENTENCE = "The request holds more than the 50000 records allowed, or far too many attributes; send smaller batches."


def delimited(field: int, content: bytes) -> bytes:
    """A field of bytes, as protobuf writes it."""
    size, length = len(content), b""
    while size > 0x7F:
        size, length = size >> 7, length + bytes([size & 0x7F | 0x80])
    return bytes([field << 3 | 2]) + length + bytes([size]) + content


def crowd(level: int, count: int = MANY) -> bytes:
    """Two bytes each: empty resources (0), scopes (1) or spans (2)."""
    inner = bytes([(1 if level == 0 else 2) << 3 | 2, 0]) * count
    for field in (2, 1)[2 - level :]:
        inner = delimited(field, inner)
    return inner


def counts(signal: Signal, body: bytes) -> list[int]:
    """Resources, scopes, records (and points), as the parsed request has them."""
    level, found = [parse(signal, body)], []
    for name in PATH[signal]:
        level = [item for each in level for item in getattr(each, name)]
        found.append(len(level))
    if signal is Signal.METRICS:
        found.append(sum(len(points(metric)) for metric in level))  # type: ignore[arg-type]
    return found


@given(st.sampled_from(list(Signal)).flatmap(lambda s: st.tuples(st.just(s), otlp_strategies.requests[s])), st.data())
def test_the_census_agrees_with_the_parser(drawn: tuple[Signal, object], data: st.DataObject) -> None:
    """For any request and any bound: crowded means that some level has more than the bound."""
    signal, request = drawn
    body = request.SerializeToString()  # type: ignore[attr-defined]
    found = max(counts(signal, body))
    most = data.draw(st.integers(1, found + 2))
    assert is_crowded(signal, body, most) == (found > most)


@given(st.binary(max_size=300), st.sampled_from(list(Signal)))
def test_any_bytes_can_be_looked_at(body: bytes, signal: Signal) -> None:
    """Whatever comes, the census ends without an error, and says what it says of the beginning of a request too."""
    assert is_crowded(signal, body, 1) in (True, False)
    crowded = crowd(2, 5)
    assert is_crowded(Signal.TRACES, crowded + body, 4)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_crowd_is_noticed_before_it_is_parsed(level: int) -> None:
    """Two million empty messages of any kind, and as many fields nobody knows, take no memory to notice."""
    body = crowd(level)
    unknown = delimited(1, delimited(2, b"\x18\0" * MANY))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert is_crowded(Signal.TRACES, body, 50_000)
    assert is_crowded(Signal.TRACES, unknown, 50_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert time.process_time() - began < 5


#: The fields from the request down to the members of a list.
LISTS = {
    "attributes": (1, 2, 2, 9),
    "events": (1, 2, 2, 11),
    "links": (1, 2, 2, 13),
    "attributes of an event": (1, 2, 2, 11, 3),
    "attributes of the resource": (1, 1, 1),
    "values in a list": (1, 2, 2, 9, 2, 5, 1),
}


def full(path: tuple[int, ...], count: int, tag: bytes = b"") -> bytes:
    """So many empty members of one list, everything around it once; ``tag`` instead of the member's own."""
    inner = ((tag or bytes([path[-1] << 3 | 2])) + b"\0") * count
    for field in reversed(path[:-1]):
        inner = delimited(field, inner)
    return inner


@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_millions_of_attributes_are_noticed_before_they_are_parsed(path: tuple[int, ...]) -> None:
    """One span with three million empty attributes, or parts of any other kind, takes no memory to notice."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert is_crowded(Signal.TRACES, full(path, 3_000_000), 50_000)
    padded = bytes([path[-1] << 3 & 0x7F | 2 | 0x80, 0])
    assert is_crowded(Signal.TRACES, full(path, 3_000_000, padded), 50_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 96 * 1024
    assert time.process_time() - began < 20
    assert not is_crowded(Signal.TRACES, full(path, 1_900_000), 50_000)


def test_long_texts_are_no_attributes() -> None:
    """Whatever stands in texts: only members of lists count."""
    text = delimited(9, delimited(1, b"k") + delimited(2, delimited(1, b'J"Zj\n\x1a' * 1_000_000)))
    assert not is_crowded(Signal.TRACES, delimited(1, delimited(2, delimited(2, text))), 50_000)


@pytest.mark.parametrize("media", [PROTOBUF, JSON])
@on_loop
async def test_http_answers_413(media: str) -> None:
    """Over HTTP, in both encodings: 413, one sentence, counted as too large; what is within the bound is taken."""
    before = refused("http", "too_large")
    written = {"resourceSpans": [{"scopeSpans": [{"spans": [{}] * 60_000}]}]}
    body = crowd(2, 60_000) if media == PROTOBUF else json.dumps(written).encode()
    async with door() as house:
        status, _, answer = await send(house.url + TRACES, body, media)
        assert (status, status_in(answer, media).message) == (413, SENTENCE)
        assert (await send(house.url + TRACES, crowd(2, 50_000)))[0] == 200
        assert len(house.sink.accepted) == 1
    assert refused("http", "too_large") == before + 1


@on_loop
async def test_grpc_answers_resource_exhausted_for_good() -> None:
    """Over gRPC: RESOURCE_EXHAUSTED without RetryInfo, so that it is not sent again."""
    async with door() as house:
        code, status = await failure(house, crowd(2))
        assert (code, status.message, list(status.details)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, SENTENCE, [])
        assert house.sink.accepted == []


@on_loop
async def test_points_are_records() -> None:
    """Of metrics the points count: three in one metric are too many for a bound of two."""
    request = parse(Signal.METRICS, requests()[Signal.METRICS])
    data = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points  # type: ignore[union-attr]
    for _ in range(2):
        data.add(as_int=1)
    async with door(max_records=2) as house:
        assert (await send(f"{house.url}/v1/metrics", request.SerializeToString()))[0] == 413
        assert (await send(house.url + TRACES, spans(2)))[0] == 200
        assert (await send(house.url + TRACES, spans(3)))[0] == 413
