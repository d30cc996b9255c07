"""OTLP/HTTP from senders that misbehave on the socket: half-closed, slow, broken off, not HTTP at all."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.receivers_door import JSON, RecordingSink, door, on_loop, post, put_off, refused, spans

TRACES = "/v1/traces"
CLOSE = "Connection: close\r\n"


def told(answer: bytes) -> tuple[int, str]:
    """Status code and sentence of an HTTP answer in bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    media_json = JSON.encode() in head
    message = json.loads(body).get("message", "") if media_json else Status.FromString(body).message
    return int(head.split()[1]), message


@on_loop
async def test_a_half_closed_sender_gets_its_answer() -> None:
    """A sender that closes its sending side after a whole request is answered, even when the sink takes its time."""
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink) as house:
        asking = asyncio.create_task(house.raw(post(TRACES, spans()), half_close=True))
        await sink.until_waiting(1)
        await asyncio.sleep(0.05)
        assert sink.gate is not None
        sink.gate.set()
        assert told(await asking) == (200, "")
        assert sink.bodies() == [spans()]


@pytest.mark.parametrize("chunked", [False, True])
@on_loop
async def test_half_closing_inside_a_body_is_refused(chunked: bool) -> None:
    """A body that can no longer become complete is 400 with the reason at once, and nothing of it is stored."""
    before = refused("http", "malformed")
    body = spans(2)
    whole = post(TRACES, body, length=len(body) + 1)
    if chunked:
        head = f"POST {TRACES} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        whole = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)
    async with door() as house:
        answer = await house.raw(whole, half_close=True)
        assert told(answer) == (400, "The sender closed its side before the body was complete.")
        assert house.sink.accepted == []
    assert refused("http", "malformed") == before + 1


@on_loop
async def test_half_closing_between_requests_closes() -> None:
    """An idle connection whose sender is done is closed without a word, before and after a request."""
    async with door() as house:
        assert await house.raw(b"", half_close=True) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", house.http_port)
        writer.write(post(TRACES, spans()))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


@on_loop
async def test_half_closing_inside_the_head_closes() -> None:
    """A request head that can no longer become complete frees its connection."""
    async with door() as house:
        answer = await house.raw(b"POST /v1/traces HTTP/1.1\r\nHost:", half_close=True)
        assert answer == b""


@on_loop
async def test_pipelined_requests_before_a_half_close_are_answered() -> None:
    """Requests that were completely sent before the half-close are each answered or left to be sent again."""
    async with door() as house:
        answer = await house.raw(post(TRACES, spans(1)) + post(TRACES, spans(2)), half_close=True)
        assert answer.count(b"HTTP/1.1 200") == len(house.sink.accepted) >= 1


@on_loop
async def test_a_broken_off_body_leaves_nothing_behind() -> None:
    """A sender that resets the connection inside a body harms nobody: bytes are given back, the next is served."""
    async with door() as house:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", house.http_port)
            writer.write(post(TRACES, bytes(50_000), length=100_000))
            await writer.drain()
            await asyncio.sleep(0.01)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert house.in_flight == 0
        assert told(await house.raw(post(TRACES, spans(), more=CLOSE)))[0] == 200
        assert house.sink.bodies() == [spans()]


@on_loop
async def test_a_slow_body_holds_only_what_it_has_sent_and_not_for_ever() -> None:
    """A body that does not arrive in time is 503 (send it again); meanwhile it blocks nobody."""
    before = put_off("http", "slow")
    async with door(patience=0.4, max_in_flight=16 << 20) as house:
        slow = [asyncio.create_task(house.raw(post(TRACES, b"\n", length=4_000_000))) for _ in range(10)]
        await asyncio.sleep(0.1)
        assert house.in_flight == 10
        assert told(await house.raw(post(TRACES, spans(), more=CLOSE)))[0] == 200
        for answer in await asyncio.gather(*slow):
            assert told(answer) == (503, "The body did not arrive within 0.4 seconds.")
    assert put_off("http", "slow") == before + 10


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/9.9\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nX: " + b"s3cret" * 10_000 + b"\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ],
)
@on_loop
async def test_what_is_not_http_is_400(garbage: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """TLS, HTTP/2 or noise on the plain port gets a 400 in our own words and a closed connection."""
    async with door() as house:
        answer = await house.raw(garbage)
        assert told(answer) == (400, "This is not a valid HTTP/1.1 request.")
        assert b"s3cret" not in answer
        assert told(await house.raw(post(TRACES, spans(), more=CLOSE)))[0] == 200
    assert "s3cret" not in "".join(capsys.readouterr())


@on_loop
async def test_bad_chunks_are_refused() -> None:
    """A chunked body whose chunks lie is malformed, and the sender is told while the connection lasts."""
    head = f"POST {TRACES} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n".encode()
    async with door() as house:
        answer = await house.raw(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n")
        assert told(answer)[0] == 400
        assert house.sink.accepted == []


@on_loop
async def test_chunks_are_put_back_together() -> None:
    """A body sent byte by byte in chunks, with pauses, arrives whole."""
    body = spans(1)
    head = f"POST {TRACES} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nConnection: close\r\n"
    async with door() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.http_port)
        writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for index in range(len(body)):
            writer.write(b"1\r\n%b\r\n" % body[index : index + 1])
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        assert told(await reader.read())[0] == 200
        writer.close()
        assert house.sink.bodies() == [body]


@on_loop
async def test_expect_continue_is_answered_before_the_body() -> None:
    """curl asks before it sends a big body: it is invited, or refused without sending anything."""
    expect = "Expect: 100-continue\r\n"
    async with door(max_body=1_000) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.http_port)
        writer.write(post(TRACES, b"", length=len(spans()), more=expect + CLOSE))
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(spans())
            assert told(await reader.read())[0] == 200
        writer.close()
        refused_unsent = await house.raw(post(TRACES, b"", length=2_000, more=expect + CLOSE))
        assert told(refused_unsent)[0] == 413


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.lists(st.binary(max_size=200), min_size=1, max_size=20), cut=st.integers(0, 10**6))
def test_noise_never_stops_the_door(data: list[bytes], cut: int) -> None:
    """Whatever bytes arrive, cut wherever, the receiver closes or answers, and serves the next sender."""

    @on_loop
    async def check() -> None:
        async with door() as house:
            request = post(TRACES, b"".join(data))
            for noise in (*data, request[: cut % len(request)]):
                await house.raw(noise, half_close=True)
            assert told(await house.raw(post(TRACES, spans(), more=CLOSE)))[0] == 200
            assert house.sink.bodies()[-1] == spans()

    check()
