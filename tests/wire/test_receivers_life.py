"""Receivers from start to stop: ports, TLS, draining."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import aiohttp
import grpc
import pytest

from otel_exporter.receivers import Admission, GrpcReceiver, HttpReceiver, PortTaken, Tls
from processors.batch import Signal
from tests.certificates import Authority
from tests.wire.receivers_door import (
    EXPORT,
    PROTOBUF,
    Door,
    RecordingSink,
    door,
    on_loop,
    post,
    put_off,
    spans,
)

ADMISSION = Admission({}, 1_000, 1_000, 1_000)


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that something else listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@on_loop
async def test_a_taken_port_is_said_by_name() -> None:
    """Starting on a taken port fails with the address in the sentence, for something else's port and for our own."""
    with taken_port() as port:
        for receiver in (
            HttpReceiver("127.0.0.1", port, ADMISSION, RecordingSink()),
            GrpcReceiver(f"127.0.0.1:{port}", ADMISSION, RecordingSink()),
        ):
            with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
                await receiver.start()
            await receiver.stop(0)
    async with door() as house:
        with pytest.raises(PortTaken):
            await HttpReceiver("127.0.0.1", house.http_port, ADMISSION, RecordingSink()).start()
        with pytest.raises(PortTaken):
            await GrpcReceiver(house.target, ADMISSION, RecordingSink()).start()


async def http_status(house: Door) -> int:
    """POST one span."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{house.url}/v1/traces", data=spans(), headers={"Content-Type": PROTOBUF}) as answer,
    ):
        return answer.status


@on_loop
async def test_stopping_lets_requests_under_way_finish() -> None:
    """Requests that the sink holds when stop begins are answered with success, and stop waits for them."""
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink) as house:
        asking = [asyncio.create_task(http_status(house)), asyncio.create_task(house.export(spans()))]
        await sink.until_waiting(2)
        stopping = [asyncio.create_task(house.http.stop(10)), asyncio.create_task(house.grpc.stop(10))]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in (*asking, *stopping))
        assert sink.gate is not None
        sink.gate.set()
        assert await asyncio.gather(*asking) == [200, b""]
        async with asyncio.timeout(3):
            await asyncio.gather(*stopping)
        assert len(sink.accepted) == 2


@on_loop
async def test_a_body_on_its_way_when_stop_begins_still_arrives() -> None:
    """A sender in the middle of its body when stop begins may finish it within the grace."""
    async with door() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.http_port)
        data = post("/v1/traces", spans())
        writer.write(data[:-5])
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(house.http.stop(10))
        await asyncio.sleep(0.1)
        writer.write(data[-5:])
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        async with asyncio.timeout(3):
            await stopping
        assert house.sink.bodies() == [spans()]


@on_loop
async def test_new_requests_while_stopping_are_put_off() -> None:
    """On an open connection, a request that begins after stop did is told to come back; its data is not lost."""
    before = put_off("http", "stopping")
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink) as house, grpc.aio.insecure_channel(house.target) as channel:
        await channel.channel_ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.http_port)
        asking = asyncio.create_task(http_status(house))
        calling = asyncio.create_task(house.export(spans()))
        await sink.until_waiting(2)
        stopping = [asyncio.create_task(house.http.stop(10)), asyncio.create_task(house.grpc.stop(10))]
        await asyncio.sleep(0.1)
        writer.write(post("/v1/traces", spans(2)))
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in answer
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", house.http_port)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary(EXPORT[Signal.TRACES])(spans(2), timeout=3)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert sink.gate is not None
        sink.gate.set()
        assert (await asking, await calling) == (200, b"")
        await asyncio.gather(*stopping)
    assert put_off("http", "stopping") == before + 1


@on_loop
async def test_stop_ends_when_the_grace_does() -> None:
    """A sink that never finishes, a body that never ends and idle connections cannot hold up stop beyond its grace."""
    sink = RecordingSink(gate=asyncio.Event())
    async with door(sink) as house:
        idle = [await asyncio.open_connection("127.0.0.1", house.http_port) for _ in range(3)]
        idle[0][1].write(post("/v1/traces", b"", length=100))
        asking = [asyncio.create_task(http_status(house)), asyncio.create_task(house.export(spans()))]
        await sink.until_waiting(2)
        async with asyncio.timeout(3):
            await asyncio.gather(house.http.stop(0.3), house.grpc.stop(0.3))
        http, call = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(http, aiohttp.ClientError)
        assert isinstance(call, grpc.aio.AioRpcError)
        assert call.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}  # both are retryable
        for _, writer in idle:
            writer.close()
        assert sink.accepted == []


@on_loop
async def test_a_stopped_port_is_free_again() -> None:
    """After stop the same ports can be listened on at once, as a restart does."""
    async with door() as house:
        await http_status(house)
        await house.export(spans())
        await asyncio.gather(house.http.stop(1), house.grpc.stop(1))
        again = HttpReceiver("127.0.0.1", house.http_port, house.admission, house.sink)
        also = GrpcReceiver(house.target, house.admission, house.sink)
        assert (await again.start(), await also.start()) == (house.http_port, house.grpc_port)
        assert await http_status(house) == 200
        await asyncio.gather(again.stop(1), also.stop(1))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signed one server and one client."""
    return Authority(tmp_path_factory.mktemp("tls"), "server", "client")


@pytest.mark.parametrize("mutual", [False, True])
@on_loop
async def test_tls_and_mutual_tls(authority: Authority, mutual: bool) -> None:
    """Both receivers speak TLS, and with a client authority only to senders that it signed."""
    folder, root = authority.folder, authority.root
    tls = Tls(folder / "server.pem", folder / "server.key", root if mutual else None)
    async with door(tls=tls) as house:
        for known in (True, False):
            url = f"https://localhost:{house.http_port}/v1/traces"
            connector = aiohttp.TCPConnector(ssl=authority.client("client" if known else None))
            pair = (
                ((folder / "client.key").read_bytes(), (folder / "client.pem").read_bytes()) if known else (None, None)
            )
            credentials = grpc.ssl_channel_credentials(root.read_bytes(), *pair)
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                grpc.aio.secure_channel(f"localhost:{house.grpc_port}", credentials) as channel,
            ):
                export = channel.unary_unary(EXPORT[Signal.TRACES])
                if known or not mutual:
                    async with session.post(url, data=spans(), headers={"Content-Type": PROTOBUF}) as answer:
                        assert answer.status == 200
                    assert await export(spans()) == b""
                else:
                    with pytest.raises(aiohttp.ClientError):
                        await session.post(url, data=spans(), headers={"Content-Type": PROTOBUF})
                    with pytest.raises(grpc.aio.AioRpcError):
                        await export(spans(), timeout=2)
        assert len(house.sink.accepted) == (2 if mutual else 4)
