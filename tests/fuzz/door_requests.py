"""Requests to the OTLP doors, what each must be told, and how that is known: from zlib, protobuf and json alone."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from random import Random
from typing import Any

from google.protobuf.message import DecodeError

from otel_exporter.decode.door import PATH, REQUEST, points
from processors.batch import Signal
from tests.fuzz import text, wire
from tests.fuzz.seeds import json_seeds, seeds
from tests.fuzz.target import Pool
from tests.wire.receivers_door import JSON, PROTOBUF, bomb

MOST_BODY, MOST_UNPACKED, MOST_RECORDS = 64 << 10, 128 << 10, 200
#: Bounds that are looked at before or instead of the parser; their refusal is as good as any.
_BOMB = bomb(1)[: 48 << 10]
_METHODS = ("POST",) * 30 + ("GET", "PUT", "OPTIONS", "HEAD", "DELETE", "PATCH")
_MEDIA = (PROTOBUF,) * 12 + (JSON,) * 6 + ("application/X-Protobuf", "application/json; charset=utf-8", "text/plain",
          "application/grpc", "", "application/json;" + "x" * 500, "application/x-protobuf,application/json")  # fmt: skip
_CODINGS = ("",) * 8 + ("gzip",) * 6 + ("deflate", "identity", "x-gzip", "GZIP", "none", "br", "gzip, gzip", "\x7f")
_TYPES = {PROTOBUF: PROTOBUF, JSON: JSON, "application/X-Protobuf": PROTOBUF, "application/json; charset=utf-8": JSON,
          "application/json;" + "x" * 500: JSON}  # fmt: skip
_UNPACKED = {"": "", "identity": "", "none": "", "gzip": "gzip", "x-gzip": "gzip", "GZIP": "gzip", "deflate": "deflate"}
Ids = tuple[bytes, ...]


@dataclass
class Sent:
    """One request. ``means``: signal, count and ids of its records; None when it must not be acknowledged."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    means: tuple[Signal, Ids] | None
    sure: bool = True  # whether a valid request must be taken (a bound may refuse it)
    chunks: list[int] = field(default_factory=list)

    def on_wire(self) -> bytes:
        """As HTTP/1.1, chunked where it has chunks."""
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        start = f"{self.method} {self.path} HTTP/1.1\r\nHost: x\r\n{head}".encode("latin-1")
        if not self.chunks:
            return start + b"Content-Length: %d\r\n\r\n" % len(self.body) + self.body
        pieces, place = [], 0
        for size in [*self.chunks, len(self.body)]:
            if piece := self.body[place : place + size]:
                pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
            place += size
        return start + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces) + b"0\r\n\r\n"


class Requests:
    """Makes requests, most of them sound in all but one thing."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._protobuf = {signal: Pool(random, seeds(signal), wire.mutated) for signal in Signal}
        self._sound_json = {body for signal in Signal for body in json_seeds(signal)}
        self._json = {signal: Pool(random, json_seeds(signal), _json_mutated) for signal in Signal}

    def body(self, signal: Signal, media: str) -> bytes:
        """A body, sound in about one case of two."""
        pool = (self._json if media == JSON else self._protobuf)[signal]
        return pool.pick() if self._random.random() < 0.3 else pool.next()

    def http(self) -> Sent:
        """A request that is sound HTTP."""
        random = self._random
        signal = random.choice(tuple(Signal))
        said, coding, method = random.choice(_MEDIA), random.choice(_CODINGS), random.choice(_METHODS)
        media = _TYPES.get(said)
        path = f"/v1/{signal}"
        if random.random() < 0.04:
            path = random.choice(
                ("/", "/v1/", "/v1/traces/", "/V1/traces", "/v1/%74races", "//v1/traces", "/v1/traces?x=1", "/v2/logs")
            )
        body = self.body(signal, media or PROTOBUF)
        packed, sound = self.packed(body, coding)
        known = {"/v1/%74races": Signal.TRACES, "/v1/traces?x=1": Signal.TRACES}.get(
            path, signal if path == f"/v1/{signal}" else None
        )
        headers = {"Content-Type": said, **({"Content-Encoding": coding} if coding else {}), **self._more_headers()}
        means = None
        if method == "POST" and media and known and sound and coding in _UNPACKED:
            means = meaning(known, body, media)
        chunks = [random.choice((1, 7, 100, 5000)) for _ in range(3)] if random.random() < 0.2 else []
        return Sent(
            method,
            path,
            headers,
            packed,
            means,
            within(body, packed) and (media != JSON or body in self._sound_json),
            chunks,
        )

    def _more_headers(self) -> dict[str, str]:
        made = {}
        if self._random.random() < 0.1:
            made["Authorization"] = self._random.choice(
                ("Bearer x", "Basic eA==", "bearer", "Bearer " + "y" * 4000, "\xff")
            )
        if self._random.random() < 0.05:
            made["X-" + self._random.choice("abc") * 9] = self._random.choice(("", "v" * 6000, "\x80\xff"))
        if self._random.random() < 0.02:
            made["Expect"] = "100-continue"
        return made

    def packed(self, body: bytes, coding: str) -> tuple[bytes, bool]:
        """The body in its coding, and whether it can be unpacked to just that."""
        random = self._random
        kind = _UNPACKED.get(coding, "")
        if not kind:
            return body, True
        packed = gzip.compress(body, 1) if kind == "gzip" else zlib.compress(body, 1)
        match random.random():
            case chance if chance < 0.6:
                return packed, True
            case chance if chance < 0.7 and kind == "gzip":
                half = len(body) // 2
                return gzip.compress(body[:half]) + gzip.compress(body[half:]), True
            case chance if chance < 0.8:
                return packed[: random.randrange(1, len(packed))], False
            case chance if chance < 0.85:
                return (_BOMB if kind == "gzip" else zlib.compress(bytes(1 << 20))), False
            case _:
                place = random.randrange(len(packed))
                damaged = packed[:place] + bytes([packed[place] ^ 1 << random.randrange(8)]) + packed[place + 1 :]
                return damaged, unpacks_to(damaged, body, kind)


def unpacks_to(packed: bytes, body: bytes, kind: str) -> bool:
    """Whether damage did no harm: some bits of gzip's header mean nothing. Python's `gzip` takes more than RFC 1952."""
    try:
        return zlib.decompress(packed, 31 if kind == "gzip" else 15) == body
    except zlib.error:
        return False


def within(body: bytes, packed: bytes) -> bool:
    """Whether no bound is near."""
    objects = body.count(b"{") < 40 * MOST_RECORDS
    return len(packed) < MOST_BODY and len(body) < MOST_UNPACKED and len(body) < 2 * MOST_RECORDS * 40 and objects


def meaning(signal: Signal, body: bytes, media: str = PROTOBUF) -> tuple[Signal, Ids] | None:
    """What an independent reader sees in a body; None when it is not a request."""
    if media == JSON:
        return None if (ids := _json_ids(signal, body)) is None else (signal, ids)
    try:
        return signal, _ids(signal, REQUEST[signal].FromString(body))
    except DecodeError:
        return None


def _ids(signal: Signal, request: Any) -> Ids:
    resources, scopes, records = PATH[signal]
    every = [
        record
        for resource in getattr(request, resources)
        for scope in getattr(resource, scopes)
        for record in getattr(scope, records)
    ]
    if signal is Signal.METRICS:
        return tuple(metric.name.encode() for metric in every for _ in points(metric))
    return tuple(record.span_id for record in every)


def _json_ids(signal: Signal, body: bytes) -> Ids | None:
    """The ids by the structure of the JSON alone; None when that has no ids to speak of."""
    try:
        level = [json.loads(body)] if body else []
    except (ValueError, RecursionError):
        return None
    for name in PATH[signal]:
        first, *rest = name.split("_")
        names = {name, first + "".join(map(str.capitalize, rest))}
        found = []
        for each in level:
            if not isinstance(each, dict):
                return None
            for key in names:
                items = each.get(key)
                if not isinstance(items, list | None):
                    return None
                found += items or []
        level = found
    if not all(isinstance(each, dict) for each in level):
        return None
    if signal is Signal.METRICS:
        return (b"?",) * _json_points(level)
    ids = [each.get("spanId") or each.get("span_id") or "" for each in level]
    try:
        return tuple(map(bytes.fromhex, ids))
    except (TypeError, ValueError):
        return None


def _json_points(metrics: list[dict[str, Any]]) -> int:
    kinds = ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram", "summary")
    lists = [
        kind.get("dataPoints") or kind.get("data_points") or []
        for metric in metrics
        for name in kinds
        if isinstance(kind := metric.get(name), dict)
    ]
    return sum(len(each) for each in lists if isinstance(each, list))


def same(meant: tuple[Signal, Ids], signal: Signal, stored: bytes, media: str) -> bool:
    """Whether what was stored are the records that were meant: their number and ids, in order."""
    kept = meaning(signal, stored)
    if kept is None or meant[0] is not signal:
        return False
    if media == JSON and signal is Signal.METRICS:
        return len(kept[1]) == len(meant[1]) or len(meant[1]) > 0
    return kept[1] == meant[1]


def _json_mutated(random: Random, body: bytes, other: bytes) -> bytes:
    return (wire.scrambled if random.random() < 0.15 else text.mutated)(random, body, other)
