"""The OTLP doors, over real sockets: what is acknowledged is stored, what is sound is taken, garbage ends in an answer.

"Sound" is decided by zlib, protobuf and json alone (`door_requests.meaning`), never by what is tested.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import grpc

from processors.batch import Signal
from tests.fuzz import wire
from tests.fuzz.door_requests import (
    JSON,
    MOST_BODY,
    MOST_RECORDS,
    MOST_UNPACKED,
    PROTOBUF,
    Requests,
    Sent,
    meaning,
    same,
    within,
)
from tests.fuzz.journal import Journal
from tests.fuzz.seeds import kept
from tests.fuzz.target import Found
from tests.wire.receivers_door import EXPORT, Door, RecordingSink, door, frame, open_call, put_off, spans

_PATIENCE = 20.0
_AT_ONCE = 200  # requests between two looks at the whole
ANSWERS = frozenset({200, 400, 404, 405, 413, 415})
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
_REFUSALS = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED})


def http(random: Random, count: int, journal: Journal, sink: RecordingSink | None = None) -> Counter[str]:
    """OTLP/HTTP: sound HTTP with any body, and garbage."""
    return asyncio.run(_http(random, count, journal, sink))


def grpc_calls(random: Random, count: int, journal: Journal) -> Counter[str]:
    """OTLP/gRPC: calls with any message, and garbage frames."""
    return asyncio.run(_grpc(random, count, journal))


def _bounded() -> dict[str, int]:
    return {
        "max_body": MOST_BODY,
        "max_decompressed": MOST_UNPACKED,
        "max_in_flight": 4 << 20,
        "max_records": MOST_RECORDS,
    }


async def _http(random: Random, count: int, journal: Journal, sink: RecordingSink | None = None) -> Counter[str]:
    happened: Counter[str] = Counter()
    requests = Requests(random)
    async with door(sink, **_bounded()) as house:  # type: ignore[arg-type]
        client = _Client(house)
        for number in range(count):
            if number % _AT_ONCE == 0:
                journal.batch()
            if random.random() < 0.15:
                await _garbage(random, requests, house, journal, happened)
            else:
                await _one(requests.http(), client, house, journal, happened)
            house.sink.accepted.clear()
        await client.close()
        _nothing_unexpected("http", b"")
    return happened


class _Client:
    """One kept connection; a new one when the service has closed it."""

    def __init__(self, house: Door) -> None:
        self._port = house.http_port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, data: bytes, *, head: bool) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._open is None:
            self._open = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._open
        writer.write(data)
        status, length, closing = 100, 0, False
        while status == 100:
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            status = int(lines[0].split()[1])
            named = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
            length, closing = int(named.get(b"content-length", b"0")), named.get(b"connection") == b"close"
        body = await reader.readexactly(0 if head else length)
        if closing or status >= 400:  # what is unread of a refused body is no business of the next request
            await self.close()
        return status, body

    async def close(self) -> None:
        """Close it."""
        opened, self._open = self._open, None
        if opened:
            opened[1].close()
            with suppress(ConnectionError):
                await opened[1].wait_closed()


async def _one(sent: Sent, client: _Client, house: Door, journal: Journal, happened: Counter[str]) -> None:
    data = sent.on_wire()
    journal.begin(data)
    try:
        async with asyncio.timeout(_PATIENCE):
            status, _ = await client.ask(data, head=sent.method == "HEAD")
    except TimeoutError:
        raise Found("no answer", data) from None
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Found(f"no answer but {type(error).__name__}", data) from None
    happened["requests"] += 1
    happened[f"answered_{status}"] += 1
    if status not in ANSWERS:
        raise Found(f"answered {status}", data)
    media = JSON if "json" in sent.headers["Content-Type"] else PROTOBUF
    _judge(sent, status == 200, media, house, data)


def _judge(sent: Sent, acknowledged: bool, media: str, house: Door, data: bytes) -> None:
    """The oracle of acknowledgements."""
    stored = house.sink.accepted
    if not acknowledged:
        if stored:
            raise Found("refused, and stored all the same", data)
        if sent.means is not None and sent.sure:
            raise Found("sound, and refused", data)
        return
    if sent.means is None:
        raise Found("acknowledged, and not a sound request", data)
    if len(stored) != (1 if sent.means[1] else 0) and not (
        media == JSON and not stored and sent.means[0] is Signal.METRICS
    ):
        raise Found(f"acknowledged, and stored {len(stored)} times", data)
    if stored and not same(sent.means, stored[0][0], stored[0][2], media):
        raise Found("acknowledged, and something else stored", data)


def _nothing_unexpected(transport: str, data: bytes) -> None:
    if put_off(transport, "internal"):
        raise Found("an unexpected error inside", data)


async def _garbage(random: Random, requests: Requests, house: Door, journal: Journal, happened: Counter[str]) -> None:
    """One or a few requests on one connection, damaged anywhere; then the sender is done."""
    good = [requests.http().on_wire() for _ in range(random.choice((1, 1, 2, 4)))]
    data = random.choice(kept("http")) if random.random() < 0.1 else b"".join(good)
    for _ in range(random.choice((0, 1, 1, 2, 8))):
        data = _damaged(random, data)
    journal.begin(data)
    try:
        answer = await house.raw(data, half_close=True)
    except TimeoutError:
        raise Found("a connection that never ends", data) from None
    except ConnectionError:
        answer = b""
    happened["requests"] += 1
    happened["garbage"] += 1
    statuses = [int(found) for found in STATUS.findall(answer)]
    for status in statuses:
        if status not in ANSWERS | {100}:
            raise Found(f"answered {status}", data)
    for signal, _, body in house.sink.accepted:
        if meaning(signal, body) is None:
            raise Found("something that is no request was stored", data)
    _nothing_unexpected("http", data)
    happened["garbage_stored"] += len(house.sink.accepted)


def _damaged(random: Random, data: bytes) -> bytes:
    """Mostly in the head, where HTTP is."""
    head = data[: data.find(b"\r\n\r\n") + 4]
    match random.randrange(5):
        case 0:
            return wire.scrambled(random, data, data)
        case 1:
            lines = head.split(b"\r\n")
            place = random.randrange(len(lines))
            lines[place : place + 1] = random.choice(
                (
                    [],
                    [lines[place]] * 2,
                    [lines[place] + b"\0"],
                    [b" " + lines[place]],
                    list(_ODD_LINES)[:2],
                    [random.choice(_ODD_LINES)],
                )
            )
            return b"\r\n".join(lines) + data[len(head) :]
        case 2:
            return (
                head.replace(b"\r\n", random.choice((b"\n", b"\r", b"\r\n\r\n")), random.choice((1, -1)))
                + data[len(head) :]
            )
        case 3:
            return re.sub(rb"Content-Length: (\d+)", lambda m: b"Content-Length: " + random.choice((b"-1", b"0", b"1", b"+5", b"99999999999999999999", b"0x10", b"", b"1 1", m[1] + b"0", m[1] + b", " + m[1])), data, count=1)  # fmt: skip
        case _:
            return wire.scrambled(random, head, head) + data[len(head) :]


_ODD_LINES = (b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Transfer-Encoding: gzip, chunked", b"Host: y", b"Connection: upgrade",
              b"Upgrade: h2c", b"Connection: keep-alive, close", b"Expect: 200-maybe", b"Content-Type: \xff", b"X" * 9000 + b": y", b": empty",
              b"no colon", b"Content-Encoding: gzip", b"Transfer-Encoding: chunked, chunked", b"A: " + b"b" * 70_000)  # fmt: skip


async def _grpc(random: Random, count: int, journal: Journal) -> Counter[str]:
    happened: Counter[str] = Counter()
    requests = Requests(random)
    async with door(**_bounded()) as house:  # type: ignore[arg-type]
        async with grpc.aio.insecure_channel(house.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            calls = {signal: channel.unary_unary(EXPORT[signal]) for signal in Signal}
            for number in range(count):
                if number % _AT_ONCE == 0:
                    journal.batch()
                if random.random() < 0.1:
                    await _frames(random, requests, house, journal, happened)
                else:
                    signal = random.choice(tuple(Signal))
                    await _call(random, requests, signal, calls[signal], house, journal, happened)
                house.sink.accepted.clear()
            if await _said(calls[Signal.TRACES], spans(), happened) is not grpc.StatusCode.OK:
                raise Found("the door does not open again", b"")
        _nothing_unexpected("grpc", b"")
    return happened


async def _call(
    random: Random,
    requests: Requests,
    signal: Signal,
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes],
    house: Door,
    journal: Journal,
    happened: Counter[str],
) -> None:
    body = requests.body(signal, PROTOBUF)
    coding = "gzip" if random.random() < 0.3 else ""
    message, sound = requests.packed(body, coding)
    if not coding and message[:2] == b"\x1f\x8b":
        sound = False
    if coding and not message.startswith(b"\x1f\x8b"):  # then it is what it is, uncompressed
        body, sound = message, True
    options = {"compression": grpc.Compression.Gzip} if random.random() < 0.1 and not coding else {}
    if options and gzip.compress(body)[:2] == message[:2]:
        sound = False
    metadata = (
        (("x-" + random.choice("abc"), "v" * random.choice((0, 1, 500))), ("trace-bin", random.randbytes(5)))
        if random.random() < 0.1
        else ()
    )
    sent = Sent("", EXPORT[signal], {}, message, meaning(signal, body) if sound else None, within(body, message))
    journal.begin(message)
    code = await _said(call, message, happened, metadata=metadata, **options)
    happened["requests"] += 1
    happened[f"answered_{code.name}"] += 1
    if code is not grpc.StatusCode.OK and code not in _REFUSALS:
        raise Found(f"answered {code.name}", message)
    _judge(sent, code is grpc.StatusCode.OK, PROTOBUF, house, message)


async def _said(
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], message: bytes, happened: Counter[str], **options: Any
) -> grpc.StatusCode:
    """What a sender is told in the end: as one that follows OTLP, it sends again what it is asked to send again.

    A damaged path makes gRPC's server begin anew (see `GrpcReceiver`); that must be over soon.
    """
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            await call(message, timeout=_PATIENCE, **options)
            return grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            if error.code() not in _AGAIN or time.monotonic() > ends:
                return error.code()
            happened["sent_again"] += 1
            await asyncio.sleep(0.05)


async def _frames(random: Random, requests: Requests, house: Door, journal: Journal, happened: Counter[str]) -> None:
    """HTTP/2 frames of a call, damaged; then the sender is done."""
    signal = random.choice(tuple(Signal))
    body = requests.body(signal, PROTOBUF)
    lie = random.choice((0, 0, 1, -1, 2**31))
    message = bytes([random.choice((0, 0, 0, 1, 2))]) + max(0, len(body) + lie).to_bytes(5, "big")[-4:] + body
    frames = [open_call(signal), frame(0, 1, 1, message[:16_000])]
    kind, flags, stream = random.randrange(12), random.randrange(256), random.choice((0, 1, 3, 2**31 - 1))
    frames.insert(random.randrange(3), frame(kind, flags, stream, random.randbytes(random.choice((0, 4, 8, 40)))))
    data = b"".join(frames[: random.choice((2, 3, 3))])
    if random.random() < 0.6:
        data = wire.scrambled(random, data, data)
    journal.begin(data)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.grpc_port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(_PATIENCE):
            await reader.read()
    except TimeoutError:
        raise Found("a connection that never ends", data) from None
    except OSError:
        pass
    finally:
        writer.close()
    happened["requests"] += 1
    happened["garbage"] += 1
    for stored, _, request in house.sink.accepted:
        if meaning(stored, request) is None:
            raise Found("something that is no request was stored", data)
    _nothing_unexpected("grpc", data)
