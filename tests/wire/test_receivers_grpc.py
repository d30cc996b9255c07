"""OTLP/gRPC: raw calls, and HTTP/2 frames from senders that misbehave."""

from __future__ import annotations

import asyncio
import gzip

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers import token_hash
from processors.batch import Signal
from tests.wire.receivers_door import (
    EXPORT,
    Door,
    RecordingSink,
    counted,
    door,
    frame,
    on_loop,
    open_call,
    put_off,
    refused,
    requests,
    spans,
)

COMPRESSIONS = [grpc.Compression.NoCompression, grpc.Compression.Gzip]


async def failure(house: Door, body: bytes, **options: object) -> tuple[grpc.StatusCode, Status]:
    """The code and google.rpc.Status of a call that must fail; its sentence is also the plain details."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await house.export(body, **options)
    binary = [value for key, value in error.value.trailing_metadata() if key == "grpc-status-details-bin"]
    status = Status.FromString(binary[0]) if binary else Status(message=error.value.details())
    assert status.message == error.value.details()
    return error.value.code(), status


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("signal", list(Signal))
@on_loop
async def test_requests_arrive_byte_for_byte(signal: Signal, compression: grpc.Compression) -> None:
    """Each signal, plain and gzip, reaches the sink as the bytes that were sent; the answer is an empty message."""
    body = requests()[signal] + spans(200) * (signal is Signal.TRACES)
    before = counted("tokentide_received_records_total", signal=signal.value, transport="grpc")
    async with door() as house:
        assert await house.export(body, signal, compression=compression) == b""
        assert house.sink.accepted == [(signal, "default", body)]
    assert counted("tokentide_received_records_total", signal=signal.value, transport="grpc") > before


@on_loop
async def test_deflate_is_unimplemented() -> None:
    """gRPC itself refuses a message coding we did not offer, so none is ever mistaken for protobuf."""
    async with door() as house:
        code, status = await failure(house, spans(100), compression=grpc.Compression.Deflate)
        assert (code, "deflate" in status.message) == (grpc.StatusCode.UNIMPLEMENTED, True)
        assert house.sink.accepted == []


@pytest.mark.parametrize("body", [b"", b"\n\0"])
@on_loop
async def test_an_empty_request_succeeds_without_the_sink(body: bytes) -> None:
    """A request without any record is answered with success, and costs no commit."""
    async with door() as house:
        assert await house.export(body) == b""
        assert house.sink.accepted == []


@pytest.mark.parametrize(
    ("body", "compression"),
    [
        (b"garbage", 0),
        (spans()[:-1], 0),
        (gzip.compress(b"x", mtime=0)[:-4], 0),
        (b"garbage" * 100, 2),
        (b"\x1f\x8b", 0),
    ],
)
@on_loop
async def test_bad_data_is_invalid_argument(body: bytes, compression: int) -> None:
    """What cannot be read is refused with a sentence and a BadRequest; it never reaches the sink."""
    before = refused("grpc", "malformed")
    async with door() as house:
        code, status = await failure(house, body, compression=grpc.Compression(compression))
        assert (code, status.code) == (grpc.StatusCode.INVALID_ARGUMENT, 3)
        assert status.message
        assert "garbage" not in status.message
        assert status.details[0].Is(BadRequest.DESCRIPTOR)
        assert house.sink.accepted == []
    assert refused("grpc", "malformed") == before + 1


@on_loop
async def test_tokens_are_required_once_configured() -> None:
    """No token or a wrong one is UNAUTHENTICATED; a known one names its tenant."""
    before = refused("grpc", "unauthenticated")
    tokens = {token_hash("t-acme"): "acme", token_hash("t-beta"): "beta"}
    async with door(tokens=tokens) as house:
        for metadata in ({}, {"authorization": "Bearer nope"}, {"x-api-key": "t-acme2"}):
            code, status = await failure(house, spans(), metadata=metadata)
            assert (code, status.code) == (grpc.StatusCode.UNAUTHENTICATED, 16)
            assert "authorization: Bearer" in status.message
        for metadata in ({"authorization": "Bearer t-acme"}, {"x-api-key": "t-beta", "some-bin": b"\xff"}):
            await house.export(spans(), metadata=metadata)
        assert [tenant for _, tenant, _ in house.sink.accepted] == ["acme", "beta"]
    assert refused("grpc", "unauthenticated") == before + 3


@on_loop
async def test_the_token_is_checked_before_the_message_is_read() -> None:
    """A sender without a token is refused although its message never comes, so strangers cannot fill memory."""
    async with door(tokens={token_hash("t"): "acme"}) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.grpc_port)
        writer.write(open_call())
        async with asyncio.timeout(5):
            seen = b""
            while b"No ingest token" not in seen:
                seen += await reader.read(65_536)
        writer.close()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@on_loop
async def test_oversized_messages_are_resource_exhausted_for_good(compression: grpc.Compression) -> None:
    """Over the bound, before or after inflating, is RESOURCE_EXHAUSTED without RetryInfo: not to be sent again."""
    before = refused("grpc", "too_large")
    async with door(max_body=100_000, max_decompressed=100_000) as house:
        code, status = await failure(house, bytes(200_000), compression=compression)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than" in status.message
        assert not status.details
        await house.export(spans())
        assert house.sink.bodies() == [spans()]
    assert refused("grpc", "too_large") == before + 1


@on_loop
async def test_a_bomb_is_refused_cheaply_while_neighbours_are_served() -> None:
    """Zeros a thousandfold of what was sent are refused within the bound; other calls go on."""
    zeros = bytes(128 << 20)
    async with door(max_decompressed=4 << 20) as house:
        bombs = [asyncio.create_task(failure(house, zeros, compression=grpc.Compression.Gzip)) for _ in range(2)]
        while not all(task.done() for task in bombs):
            await house.export(spans())
        for task in bombs:
            code, status = await task
            assert (code, "once decompressed" in status.message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)


@on_loop
async def test_retry_later_is_unavailable_with_retry_info() -> None:
    """The sink's RetryLater is UNAVAILABLE with the exact delay; its refusal is not retryable."""
    before = put_off("grpc", "spool_full")
    full = RetryLater(Reason.SPOOL_FULL, "The spool is full.", delay=2.5)
    async with door(RecordingSink(fail_with=[full, Refused(Reason.MALFORMED, "Too deep.")])) as house:
        code, status = await failure(house, spans())
        assert (code, status.message) == (grpc.StatusCode.UNAVAILABLE, "The spool is full.")
        info = RetryInfo()
        assert status.details[0].Unpack(info)
        assert info.retry_delay.ToTimedelta().total_seconds() == 2.5
        assert (await failure(house, spans()))[0] is grpc.StatusCode.INVALID_ARGUMENT
        await house.export(spans())
    assert put_off("grpc", "spool_full") == before + 1


@on_loop
async def test_an_unexpected_error_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug behind the door is UNAVAILABLE, so the sender sends again; the log does not hold what it held."""
    async with door(RecordingSink(fail_with=[ZeroDivisionError("sk-payload-secret")])) as house:
        code, status = await failure(house, spans())
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "sk-payload" not in status.message
    logged = "".join(capsys.readouterr())
    assert "ZeroDivisionError" in logged
    assert "sk-payload" not in logged


@on_loop
async def test_bytes_in_flight_are_bounded() -> None:
    """When the unanswered requests hold all that may be held, the next is asked to come back, and later fits."""
    before = put_off("grpc", "overloaded")
    body = spans(1, padding=200_000)
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink, max_body=300_000, max_decompressed=300_000, max_in_flight=500_000) as house:
        held = [asyncio.create_task(house.export(body)) for _ in range(2)]
        await sink.until_waiting(2)
        assert house.in_flight == 2 * len(body)
        for compression in COMPRESSIONS:
            assert (await failure(house, body, compression=compression))[0] is grpc.StatusCode.UNAVAILABLE
        assert sink.gate is not None
        sink.gate.set()
        assert await asyncio.gather(*held) == [b"", b""]
        await house.export(body)
    assert put_off("grpc", "overloaded") == before + 2


@on_loop
async def test_unknown_methods_are_unimplemented() -> None:
    """A signal we do not take (profiles) is answered as gRPC answers it."""
    async with door() as house, grpc.aio.insecure_channel(house.target) as channel:
        for method in ("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", "/a/b"):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(method)(b"")
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


@on_loop
async def test_a_call_that_ends_without_a_message_is_refused() -> None:
    """Half-closing a call before its message is INVALID_ARGUMENT, at once."""

    async def nothing() -> None:
        for message in ():
            yield message

    async with door() as house, grpc.aio.insecure_channel(house.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.stream_unary(EXPORT[Signal.TRACES])(nothing())
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.value.details() == "The call ended without a message."


@on_loop
async def test_a_message_that_never_ends_is_given_up() -> None:
    """A sender that stalls inside its message is told UNAVAILABLE in time, and the connection serves on."""
    before = put_off("grpc", "slow")
    async with door(patience=0.3) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.grpc_port)
        writer.write(open_call() + frame(0, 0, 1, b"\0\0\0\0\xff" + b"\x0a"))
        async with asyncio.timeout(5):
            seen = b""
            while b"did not arrive within" not in seen:
                seen += await reader.read(65_536)
        await house.export(spans())
        writer.close()
    assert put_off("grpc", "slow") == before + 1


@pytest.mark.parametrize("ending", ["half-close", "reset"])
@on_loop
async def test_a_connection_that_breaks_inside_a_message_harms_nobody(ending: str) -> None:
    """Half-closed or reset inside a message: the call is forgotten, nothing is stored, neighbours are served."""
    writers = []
    async with door() as house:
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", house.grpc_port)
            writers.append(writer)
            writer.write(open_call() + frame(0, 0, 1, b"\0\0\0\0\xff" + b"\x0a" * 50))
            await writer.drain()
            await asyncio.sleep(0.01)
            if ending == "reset":
                writer.transport.abort()
            else:
                writer.write_eof()
        await house.export(spans())
        await asyncio.sleep(0.1)
        assert (house.in_flight, house.sink.bodies()) == (0, [spans()])
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(100), b"\x16\x03\x01\x02\x00" + bytes(60)]
)
@on_loop
async def test_noise_on_the_port_harms_nobody(noise: bytes) -> None:
    """HTTP/1, zeros or TLS on the plain gRPC port ends that connection only."""
    async with door() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.grpc_port)
        writer.write(noise)
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
        writer.close()
        await house.export(spans())


@on_loop
async def test_a_sender_that_gives_up_disturbs_no_one() -> None:
    """A call whose deadline passes while the sink holds it gives its bytes back; the others of the commit go on."""
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink) as house:
        staying = asyncio.create_task(house.export(spans(2)))
        async with grpc.aio.insecure_channel(house.target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(EXPORT[Signal.TRACES])(spans(1), timeout=0.3)
            assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0.1)
        assert house.in_flight == len(spans(2))
        assert sink.gate is not None
        sink.gate.set()
        assert await staying == b""
        assert sink.bodies() == [spans(2)]


@on_loop
async def test_neighbours_in_the_same_moment_are_unharmed() -> None:
    """Good calls among bad ones on one connection, all at once: each good one arrives once, each bad one is refused."""
    good = [spans(3, name=f"call {index}") for index in range(40)]
    bad = [b"garbage", gzip.compress(b"x"), spans()[:-1], bytes(2_000_000)]
    async with door(max_body=1_000_000) as house, grpc.aio.insecure_channel(house.target) as channel:
        export = channel.unary_unary(EXPORT[Signal.TRACES])

        async def code(body: bytes) -> grpc.StatusCode:
            try:
                await export(body)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        codes = await asyncio.gather(*(code(b) for pair in zip(good, bad * 10, strict=True) for b in pair))
        assert codes[0::2] == [grpc.StatusCode.OK] * 40
        assert set(codes[1::2]) == {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert sorted(house.sink.bodies()) == sorted(good)


@on_loop
async def test_a_path_that_is_no_text_does_not_close_the_door() -> None:
    """A call to a path that is not UTF-8 ends gRPC's server; the call under way is answered, later ones are taken."""
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink) as house:
        under_way = asyncio.create_task(house.export(spans(1)))
        await sink.until_waiting(1)
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", house.grpc_port)
            writer.write(open_call().replace(b"/Export", b"/Exp\xffrt"))
            await asyncio.sleep(0.5)
            assert sink.gate is not None
            sink.gate.set()
            async with asyncio.timeout(20):
                while True:
                    try:
                        await house.export(spans(2))
                        break
                    except grpc.aio.AioRpcError as error:
                        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
                        await asyncio.sleep(0.05)
            assert await asyncio.wait_for(reader.read(), 20) is not None  # it is let go of, too
            writer.close()
        assert await under_way == b""
    assert sink.bodies().count(spans(1)) == 1
