"""Bodies: collected, inflated and bounded."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers.admit import Admission
from otel_exporter.receivers.body import MEMBERS, PIECE, Body, Coding, coding_of, coding_of_message
from tests.wire.receivers_door import bomb

PAYLOADS = st.one_of(st.binary(max_size=2_000), st.integers(0, 700_000).map(bytes))


def collect(coding: Coding, chunks: list[bytes], *, decompressed: int = 4 << 20, in_flight: int = 64 << 20) -> bytes:
    """Feed ``chunks`` to a body; the bytes in flight must be back to nothing afterwards."""
    admission = Admission({}, 32 << 20, decompressed, in_flight)

    async def run() -> bytes:
        with admission.reserve() as room:
            body = Body(admission, coding, room)
            for chunk in chunks:
                await body.add(chunk)
            return body.whole()

    try:
        return asyncio.run(run())
    finally:
        assert admission._flight.size == 0


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in chunks."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def raw_deflate(data: bytes) -> bytes:
    """Deflate data without the zlib header, as some senders understand Content-Encoding: deflate."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@given(st.lists(PAYLOADS, min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=5), st.integers(0, 3))
def test_gzip_members_are_put_back_together(members: list[bytes], places: list[int], padding: int) -> None:
    """Any number of gzip members, cut anywhere on the way, with zero padding, inflate to what was compressed."""
    data = b"".join(gzip.compress(member) for member in members) + bytes(padding)
    assert collect(Coding.GZIP, cut(data, places)) == b"".join(members)


@given(PAYLOADS, st.lists(st.integers(0, 10**6), max_size=5), st.booleans())
def test_deflate_is_understood_both_ways(payload: bytes, places: list[int], bare: bool) -> None:
    """Deflate with and without its zlib header, cut anywhere, inflates to what was compressed."""
    data = raw_deflate(payload) if bare else zlib.compress(payload)
    assert collect(Coding.DEFLATE, cut(data, places)) == payload


@given(st.binary(max_size=2_000), st.integers(0, 10**6), st.sampled_from([Coding.GZIP, Coding.DEFLATE]))
def test_a_cut_body_is_refused(payload: bytes, place: int, coding: Coding) -> None:
    """Compressed data that ends early is malformed wherever it was cut, never silently shorter."""
    data = gzip.compress(payload) if coding is Coding.GZIP else zlib.compress(payload)
    with pytest.raises(Refused) as refusal:
        collect(coding, [data[: 1 + place % (len(data) - 1)]])
    assert refusal.value.reason is Reason.MALFORMED


@given(st.binary(min_size=1, max_size=300), st.sampled_from([Coding.GZIP, Coding.DEFLATE]))
def test_garbage_is_refused_not_raised(data: bytes, coding: Coding) -> None:
    """Bytes that are not compressed data end in Refused, whatever they are."""
    try:
        collect(coding, [data])
    except Refused as refusal:
        assert refusal.reason is Reason.MALFORMED


@given(st.binary(min_size=20, max_size=500), st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_never_changes_the_data_unnoticed(payload: bytes, place: int, flip: int) -> None:
    """Gzip's checksum is checked: a damaged body is refused or (damage in the header) inflates to the same bytes."""
    data = bytearray(gzip.compress(payload))
    data[place % len(data)] ^= flip
    try:
        assert collect(Coding.GZIP, [bytes(data)]) == payload
    except Refused as refusal:
        assert refusal.reason is Reason.MALFORMED


def test_ten_gigabytes_of_zeros_are_refused_cheaply() -> None:
    """A bomb costs no more time and memory than the bound allows, in one piece and in a stream of small chunks."""
    data = bomb(gibibytes=10)
    assert len(data) > 10_000_000
    for chunks in ([data], [data[start : start + 16_384] for start in range(0, len(data), 16_384)]):
        tracemalloc.start()
        began = time.perf_counter()
        with pytest.raises(Refused) as refusal:
            collect(Coding.GZIP, chunks, decompressed=8 << 20)
        seconds, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert refusal.value.reason is Reason.TOO_LARGE
        assert seconds < 2
        assert peak < 12 << 20


def test_inflating_lets_others_run() -> None:
    """While a big body is inflated, the event loop goes round between the pieces, so small requests do not wait."""
    admission = Admission({}, 32 << 20, 32 << 20, 64 << 20)

    async def run() -> int:
        turns = 0

        async def neighbour() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(neighbour())
        with admission.reserve() as room:
            await Body(admission, Coding.GZIP, room).add(gzip.compress(bytes(32 << 20)))
        task.cancel()
        return turns

    assert asyncio.run(run()) >= (32 << 20) // PIECE


def test_a_million_empty_members_are_refused_cheaply() -> None:
    """Many members are a bomb of time: their number is bounded."""
    began = time.perf_counter()
    with pytest.raises(Refused, match=f"more than {MEMBERS} members"):
        collect(Coding.GZIP, [gzip.compress(b"") * 1_000_000])
    assert time.perf_counter() - began < 2


def test_a_layer_below_is_data() -> None:
    """Only one layer is undone: a bomb inside a bomb stays the few kilobytes it is."""
    inner = bomb(gibibytes=1)
    assert collect(Coding.GZIP, [gzip.compress(inner)]) == inner


@pytest.mark.parametrize("coding", list(Coding))
def test_the_wire_and_the_result_are_bounded_exactly(coding: Coding) -> None:
    """A body of exactly the bound passes, one byte more is too large, for every coding."""
    compress = {Coding.IDENTITY: bytes, Coding.GZIP: gzip.compress, Coding.DEFLATE: zlib.compress}[coding]
    assert len(collect(coding, [compress(bytes(1_000_000))], decompressed=1_000_000)) == 1_000_000
    with pytest.raises(Refused) as refusal:
        collect(coding, [compress(bytes(1_000_001))], decompressed=1_000_000)
    assert refusal.value.reason is Reason.TOO_LARGE
    with pytest.raises(Refused, match="33554432 bytes allowed"):
        collect(coding, [bytes((32 << 20) + 1)], decompressed=33 << 20)


def test_inflated_bytes_count_as_in_flight() -> None:
    """What a small compressed body inflates to is what it holds."""
    admission = Admission({}, 1 << 20, 1 << 20, 1 << 20)

    async def run() -> None:
        with admission.reserve() as neighbour, admission.reserve() as room:
            neighbour.grow(600_000)
            body = Body(admission, Coding.GZIP, room)
            with pytest.raises(RetryLater) as later:
                await body.add(gzip.compress(bytes(700_000)))
            assert later.value.reason is Reason.OVERLOADED

    asyncio.run(run())
    assert admission._flight.size == 0


@pytest.mark.parametrize(
    ("header", "coding"),
    [("", Coding.IDENTITY), ("identity", Coding.IDENTITY), (" GZip ", Coding.GZIP), ("x-gzip", Coding.GZIP)],
)
def test_content_encodings_are_recognised(header: str, coding: Coding) -> None:
    """Names of codings are case-insensitive; absent means none."""
    assert coding_of(header) is coding


@pytest.mark.parametrize("header", ["br", "zstd", "gzip, gzip", "identity;q=0", "gzipp"])
def test_other_content_encodings_are_refused(header: str) -> None:
    """A coding we do not undo, or a stack of them, is a media type error, not a guess."""
    with pytest.raises(Refused) as refusal:
        coding_of(header)
    assert refusal.value.reason is Reason.MEDIA_TYPE


def test_gzip_is_told_from_protobuf_by_its_first_bytes() -> None:
    """gRPC hands over compressed messages unmarked; gzip's magic can start no protobuf message."""
    assert coding_of_message(gzip.compress(b"x")) is Coding.GZIP
    assert coding_of_message(b"\x0a\x02\x12\x00") is Coding.IDENTITY
    assert coding_of_message(b"") is Coding.IDENTITY
