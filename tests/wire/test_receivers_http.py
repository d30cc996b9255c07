"""OTLP/HTTP as a well-behaved client sees it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers import token_hash
from processors.batch import Signal
from tests.wire.receivers_door import (
    JSON,
    PROTOBUF,
    RecordingSink,
    bomb,
    counted,
    door,
    on_loop,
    put_off,
    refused,
    requests,
    spans,
)

TRACES = "/v1/traces"
MEDIA = pytest.mark.parametrize("media", [PROTOBUF, JSON])


async def send(
    url: str, body: bytes | AsyncIterator[bytes], media: str = PROTOBUF, **headers: str
) -> tuple[int, aiohttp.typedefs.LooseHeaders, bytes]:
    """POST and read the answer."""
    named = {"Content-Type": media} | {name.replace("_", "-"): value for name, value in headers.items()}
    data = io.BytesIO(body) if isinstance(body, bytes) else body
    async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=named) as answer:
        return answer.status, answer.headers, await answer.read()


def status_in(body: bytes, media: str) -> Status:
    """The google.rpc.Status of an error body."""
    return Status.FromString(body) if media == PROTOBUF else ParseDict(json.loads(body), Status())


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "identity"])
@on_loop
async def test_protobuf_arrives_byte_for_byte(signal: Signal, encoding: str) -> None:
    """Each signal on its path, in every coding, reaches the sink as the bytes that were sent; the answer is empty."""
    body = requests()[signal]
    coded = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(body)
    before = counted("tokentide_received_records_total", signal=signal.value, transport="http")
    async with door() as house:
        status, headers, answer = await send(f"{house.url}/v1/{signal}", coded, Content_Encoding=encoding)
        assert (status, headers["Content-Type"], answer) == (200, PROTOBUF, b"")
        assert house.sink.accepted == [(signal, "default", body)]
    assert counted("tokentide_received_records_total", signal=signal.value, transport="http") == before + 1


@pytest.mark.parametrize("media", [JSON, "application/json; charset=utf-8", "Application/JSON"])
@on_loop
async def test_json_arrives_as_protobuf(media: str) -> None:
    """JSON with hex ids, numbers as strings or not, and unknown fields becomes the same request in protobuf."""
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat ✓",
        "kind": 3,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000,
        "attributes": [{"key": "n", "value": {"intValue": "9223372036854775807"}}],
        "fieldFromTheFuture": {"a": [1]},
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span], "new": None}]}], "newer": 1}).encode()
    async with door() as house:
        status, headers, answer = await send(house.url + TRACES, body, media)
        assert (status, headers["Content-Type"], json.loads(answer)) == (200, JSON, {})
        (arrived,) = house.sink.bodies()
    got = ExportTraceServiceRequest.FromString(arrived).resource_spans[0].scope_spans[0].spans[0]
    assert got.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (got.span_id.hex(), got.name, got.kind) == ("eee19b7ec3c1b174", "chat ✓", 3)
    assert got.end_time_unix_nano - got.start_time_unix_nano == 10**9
    assert got.attributes[0].value.int_value == 2**63 - 1


@pytest.mark.parametrize(
    ("media", "body"),
    [(PROTOBUF, b""), (JSON, b"{}"), (JSON, b""), (JSON, b'{"resourceSpans": []}'), (PROTOBUF, b"\n\0")],
)
@on_loop
async def test_an_empty_request_succeeds_without_the_sink(media: str, body: bytes) -> None:
    """A request without any record is answered with success, and costs no commit."""
    async with door() as house:
        status, headers, _ = await send(house.url + TRACES, body, media)
        assert (status, headers["Content-Type"]) == (200, media)
        assert house.sink.accepted == []


@MEDIA
@on_loop
async def test_an_answer_waits_for_the_sink(media: str) -> None:
    """OK is said only after the sink said the request is durable."""
    sink = RecordingSink(gate=asyncio.Event())
    body = spans() if media == PROTOBUF else b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}'
    async with door(sink) as house:
        sending = asyncio.create_task(send(house.url + TRACES, body, media))
        await sink.until_waiting(1)
        assert not sending.done()
        assert house.in_flight >= len(body)
        assert sink.gate is not None
        sink.gate.set()
        assert (await sending)[0] == 200


@MEDIA
@pytest.mark.parametrize("body", [b"garbage", b"\x0a\xff\xff\xff\xff\x0f", b'{"resourceSpans": [', b"\x1f\x8b\x08"])
@on_loop
async def test_bad_data_is_400_with_a_status(media: str, body: bytes) -> None:
    """What cannot be read is refused with 400 and a BadRequest in the request's encoding; it never reaches the sink."""
    before = refused("http", "malformed")
    async with door() as house:
        status, headers, answer = await send(house.url + TRACES, body, media)
        assert (status, headers["Content-Type"]) == (400, media)
        told = status_in(answer, media)
        assert told.code == 3
        assert told.message
        assert "garbage" not in told.message
        assert told.details[0].Is(BadRequest.DESCRIPTOR)
        assert house.sink.accepted == []
    assert refused("http", "malformed") == before + 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b"null",
        b"[]",
        b'{"resourceSpans": 5}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"not hex"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"-1"}]}]}]}',
    ],
    ids=["deep list", "deep object", "not utf-8", "null", "list", "number", "id", "negative time"],
)
@on_loop
async def test_garbage_json_is_400(body: bytes) -> None:
    """JSON that is broken, far too deep, or not an OTLP request is refused for good, never retried for ever."""
    async with door() as house:
        status, headers, answer = await send(house.url + TRACES, body, JSON)
        assert (status, headers["Content-Type"]) == (400, JSON)
        assert "not hex" not in status_in(answer, JSON).message
        assert house.sink.accepted == []


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/protobuf", "application/jsonx", "multipart/form-data"]
)
@on_loop
async def test_other_media_types_are_415(media: str) -> None:
    """Content-Type must be one of the two; the answer says which."""
    before = refused("http", "media_type")
    async with door() as house:
        status, headers, answer = await send(house.url + TRACES, spans(), media or "application/octet-stream")
        assert (status, headers["Content-Type"]) == (415, JSON)
        assert PROTOBUF in status_in(answer, JSON).message
        assert house.sink.accepted == []
    assert refused("http", "media_type") == before + 1


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
@on_loop
async def test_other_content_encodings_are_415(encoding: str) -> None:
    """A coding we do not undo is refused as such, not taken for damaged protobuf."""
    async with door() as house:
        status, _, answer = await send(house.url + TRACES, spans(), Content_Encoding=encoding)
        assert (status, "gzip, deflate or identity" in status_in(answer, PROTOBUF).message) == (415, True)


@on_loop
async def test_wrong_paths_and_methods_say_what_is_right() -> None:
    """404 names the paths there are, 405 the method."""
    async with door() as house, aiohttp.ClientSession() as session:
        for path in ("/", "/v1/trace", "/v1/traces/", "/v1/traces/x", "/v1development/profiles", "/v1/%74races/"):
            async with session.post(house.url + path, data=spans(), headers={"Content-Type": PROTOBUF}) as answer:
                assert answer.status == 404
                assert TRACES in status_in(await answer.read(), PROTOBUF).message
        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
            async with session.request(method, house.url + TRACES) as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert house.sink.accepted == []


@MEDIA
@on_loop
async def test_tokens_are_required_once_configured(media: str) -> None:
    """No token or a wrong one is 401 with WWW-Authenticate, before anything else about the request is looked at."""
    tokens = {token_hash("t-acme"): "acme", token_hash("t-beta"): "beta"}
    async with door(tokens=tokens) as house:
        for headers in ({}, {"Authorization": "Bearer nope"}, {"x-api-key": "t-acme2"}):
            status, answered, answer = await send(house.url + TRACES, b"garbage", media, **headers)
            assert (status, answered["WWW-Authenticate"].split()[0]) == (401, "Bearer")
            assert status_in(answer, media).code == 16
        for headers in ({"Authorization": "Bearer t-acme"}, {"x-api-key": "t-beta"}):
            assert (await send(house.url + TRACES, spans(), **headers))[0] == 200
        assert [tenant for _, tenant, _ in house.sink.accepted] == ["acme", "beta"]


@on_loop
async def test_an_announced_oversized_body_is_413() -> None:
    """A Content-Length over the bound is refused before the body is read; the connection stays usable."""
    async with door(max_body=100_000, max_decompressed=100_000) as house:
        assert (await send(house.url + TRACES, bytes(100_001)))[0] == 413
        status, _, answer = await send(house.url + TRACES, bytes(3_000_000))
        assert (status, "100000 bytes" in status_in(answer, PROTOBUF).message) == (413, True)
        assert (await send(house.url + TRACES, spans()))[0] == 200


@on_loop
async def test_an_oversized_stream_is_413() -> None:
    """A chunked body is refused as soon as it passes the bound, however long it would go on."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200_000_000:
            sent += 65_536
            yield bytes(65_536)

    async with door(max_body=1_000_000) as house:
        try:
            status, _, _ = await send(house.url + TRACES, endless())
            assert status == 413
        except aiohttp.ClientError:  # the client may see the connection close before it reads the answer
            pass
        assert house.sink.accepted == []
    assert sent < 200_000_000


@MEDIA
@on_loop
async def test_bombs_are_413_and_the_neighbours_do_not_wait(media: str) -> None:
    """While 10 GiB of zeros are refused again and again, ordinary requests are answered as always."""
    data = bomb(gibibytes=10)
    async with door(max_body=16 << 20, max_decompressed=32 << 20, max_in_flight=256 << 20) as house:
        loop = asyncio.get_running_loop()
        began = loop.time()
        throwing = [
            asyncio.create_task(send(house.url + TRACES, data, media, Content_Encoding="gzip")) for _ in range(4)
        ]
        slowest = 0.0
        while not all(task.done() for task in throwing):
            start = loop.time()
            assert (await send(house.url + TRACES, spans()))[0] == 200
            slowest = max(slowest, loop.time() - start)
        for task in throwing:
            status, headers, answer = await task
            assert (status, headers["Content-Type"]) == (413, media)
            assert "once decompressed" in status_in(answer, media).message
        assert loop.time() - began < 10
        assert slowest < 1
        nested = gzip.compress(gzip.compress(data))
        assert (await send(house.url + TRACES, nested, media, Content_Encoding="gzip"))[0] == 400


@MEDIA
@on_loop
async def test_retry_later_is_503_with_a_delay(media: str) -> None:
    """The sink's RetryLater is 503, with Retry-After in whole seconds (rounded up) and the exact RetryInfo."""
    before = put_off("http", "spool_full")
    sink = RecordingSink(fail_with=[RetryLater(Reason.SPOOL_FULL, "The spool is full.", delay=2.5)])
    body = spans() if media == PROTOBUF else b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}'
    async with door(sink) as house:
        status, headers, answer = await send(house.url + TRACES, body, media)
        assert (status, headers["Retry-After"], headers["Content-Type"]) == (503, "3", media)
        told = status_in(answer, media)
        assert (told.code, told.message) == (14, "The spool is full.")
        info = RetryInfo()
        assert told.details[0].Unpack(info)
        assert info.retry_delay.ToTimedelta().total_seconds() == 2.5
        assert (await send(house.url + TRACES, body, media))[0] == 200
    assert put_off("http", "spool_full") == before + 1


@on_loop
async def test_the_sinks_refusal_is_answered_as_such() -> None:
    """What the sink refuses is not retryable for the sender."""
    sink = RecordingSink(fail_with=[Refused(Reason.MALFORMED, "Too deep.")])
    async with door(sink) as house:
        status, _, answer = await send(house.url + TRACES, spans())
        assert (status, status_in(answer, PROTOBUF).message) == (400, "Too deep.")


@on_loop
async def test_an_unexpected_error_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug behind the door is 503, so the sender sends again; the log says where it was, not what it held."""
    sink = RecordingSink(fail_with=[KeyError("sk-payload-secret")])
    async with door(sink) as house:
        status, headers, answer = await send(house.url + TRACES, spans())
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "sk-payload" not in status_in(answer, PROTOBUF).message
        assert (await send(house.url + TRACES, spans()))[0] == 200
    logged = "".join(capsys.readouterr())
    assert "KeyError" in logged
    assert "sk-payload" not in logged


@on_loop
async def test_bytes_in_flight_are_bounded() -> None:
    """When the unanswered requests hold all that may be held, the next is asked to come back, and later fits."""
    before = put_off("http", "overloaded")
    body = spans(1, padding=200_000)
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink, max_body=300_000, max_decompressed=300_000, max_in_flight=500_000) as house:
        held = [asyncio.create_task(send(house.url + TRACES, body)) for _ in range(2)]
        await sink.until_waiting(2)
        assert house.in_flight == 2 * len(body)
        assert (await send(house.url + TRACES, body))[0] == 503
        small = gzip.compress(body)
        assert (await send(house.url + TRACES, small, Content_Encoding="gzip"))[0] == 503
        assert sink.gate is not None
        sink.gate.set()
        assert [status for status, _, _ in await asyncio.gather(*held)] == [200, 200]
        assert (await send(house.url + TRACES, body))[0] == 200
    assert put_off("http", "overloaded") == before + 2


@on_loop
async def test_neighbours_in_the_same_moment_are_unharmed() -> None:
    """Good requests among bad ones of every kind, all at once: each good one arrives once, each bad one is refused."""
    good = [spans(3, name=f"call {index}") for index in range(40)]
    bad = [b"garbage", gzip.compress(b"x"), spans()[:-1], bytes(2_000_000)]
    async with door(max_body=1_000_000) as house:
        sent = [send(house.url + TRACES, body) for pair in zip(good, bad * 10, strict=True) for body in pair]
        statuses = [status for status, _, _ in await asyncio.gather(*sent)]
        assert statuses[0::2] == [200] * 40
        assert set(statuses[1::2]) == {400, 413}
        assert sorted(house.sink.bodies()) == sorted(good)


@on_loop
async def test_big_bodies_are_validated_too() -> None:
    """A body parsed on another thread is judged like a small one."""
    async with door() as house:
        big = spans(2_000, padding=500)
        assert (await send(house.url + TRACES, big))[0] == 200
        assert (await send(house.url + TRACES, big[:-1]))[0] == 400
        assert house.sink.bodies() == [big]
