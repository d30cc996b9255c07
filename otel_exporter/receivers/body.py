"""One request body: collected as it arrives, inflated under a bound, counted as bytes in flight."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from otel_exporter.failures import Reason, Refused
from otel_exporter.receivers.admit import Admission, Reservation

#: Bytes given to and taken from zlib at once: what one step holds the event loop for (well under a millisecond).
WINDOW: Final = 65_536
PIECE: Final = 262_144
#: Each gzip member costs a new inflater; a body of a million empty members would be a bomb of another kind.
MEMBERS: Final = 1_000
GZIP_MAGIC: Final = b"\x1f\x8b"

if TYPE_CHECKING:
    _Stream = zlib._Decompress


class Coding(StrEnum):
    """The content codings that OTLP senders use."""

    IDENTITY = "identity"
    GZIP = "gzip"
    DEFLATE = "deflate"


_CODINGS: Final = {"": Coding.IDENTITY, "none": Coding.IDENTITY, "x-gzip": Coding.GZIP} | {c.value: c for c in Coding}


def coding_of(header: str) -> Coding:
    """The coding that a Content-Encoding header names; absent (empty) is identity.

    Raises:
        Refused: another coding, or several on top of each other.
    """
    coding = _CODINGS.get(header.strip().lower())
    if coding is None:
        raise Refused(Reason.MEDIA_TYPE, "Content-Encoding must be gzip, deflate or identity, and only one of them.")
    return coding


def coding_of_message(message: bytes) -> Coding:
    """The coding of a gRPC message. No protobuf message starts with gzip's magic (field 3 of wire type 7)."""
    return Coding.GZIP if message.startswith(GZIP_MAGIC) else Coding.IDENTITY


class Inflation(Protocol):
    """Undoes one coding, piece by piece, so that the caller can stop at a bound."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` inflates to, at most `PIECE` bytes at a time. Raises Refused when it is damaged."""

    def finish(self) -> None:
        """The sender says that was all. Raises Refused when something is missing."""


class Identity:
    """No coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The same bytes."""
        yield data

    def finish(self) -> None:
        """Nothing can be missing."""


class Gzip:
    """RFC 1952, with any number of members one after the other (up to `MEMBERS`) and zero padding after them."""

    def __init__(self) -> None:
        self._stream: _Stream | None = None
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Inflation`."""
        for window in _windows(data):
            rest = window
            while rest := self._next_member(rest):
                assert self._stream is not None
                yield from _inflate(self._stream, rest)
                if not self._stream.eof:
                    break
                rest, self._stream = self._stream.unused_data, None

    def _next_member(self, data: bytes) -> bytes:
        """``data`` with an inflater open for it; empty when nothing but padding is left of it."""
        if self._stream is not None:
            return data
        data = data.lstrip(b"\0") if self._members else data
        if data:
            self._members += 1
            if self._members > MEMBERS:
                raise Refused(Reason.MALFORMED, f"The gzip body has more than {MEMBERS} members.")
            self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        return data

    def finish(self) -> None:
        """See `Inflation`."""
        if self._stream is not None:
            raise _cut("gzip")


class Deflate:
    """HTTP's deflate: a zlib stream, or, as some senders understand the word, bare deflate data."""

    def __init__(self) -> None:
        self._stream: _Stream | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Inflation`."""
        if self._stream is None and data:
            zlib_header = data[0] & 0x0F == zlib.DEFLATED
            self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
        for window in _windows(data):
            assert self._stream is not None
            if self._stream.eof:
                raise Refused(Reason.MALFORMED, "The deflate body goes on after its end.")
            yield from _inflate(self._stream, window)

    def finish(self) -> None:
        """See `Inflation`."""
        if self._stream is not None and not self._stream.eof:
            raise _cut("deflate")


_INFLATIONS: Final[dict[Coding, type[Identity | Gzip | Deflate]]] = {
    Coding.IDENTITY: Identity,
    Coding.GZIP: Gzip,
    Coding.DEFLATE: Deflate,
}


class Body:
    """Collects one body. Holds only inflated bytes, and never more of them than the bounds allow."""

    def __init__(self, admission: Admission, coding: Coding, room: Reservation, tenant: str = "") -> None:
        self._admission = admission
        self._tenant = tenant
        self._inflation: Inflation = _INFLATIONS[coding]()
        self._room = room
        self._pieces: list[bytes] = []
        self.received = 0  # bytes on the wire
        self._inflated = 0

    async def add(self, chunk: bytes) -> None:
        """Take what arrived.

        Raises:
            Refused: over a bound (inflating stops there), or damaged.
            RetryLater: no room for it among the bytes in flight.
        """
        self.received += len(chunk)
        self._admission.bound_body(self.received, self._tenant)
        for piece in self._inflation.feed(chunk):
            self._keep(piece)
            if len(piece) == PIECE:
                await asyncio.sleep(0)  # a big body must not make the small ones wait

    def _keep(self, piece: bytes) -> None:
        self._inflated += len(piece)
        if self._inflated > self._admission.max_decompressed_bytes:
            raise Refused(
                Reason.TOO_LARGE,
                f"The request is larger than the {self._admission.max_decompressed_bytes} bytes allowed once "
                "decompressed; send smaller batches.",
            )
        self._room.grow(len(piece))
        self._pieces.append(piece)

    def whole(self) -> bytes:
        """The whole body, inflated; asked for once, the pieces are let go.

        Raises:
            Refused: its compressed data ends early.
        """
        self._inflation.finish()
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _windows(data: bytes) -> Iterator[bytes]:
    """``data`` in slices: zlib copies its unread input at every step, which is quadratic on a big one."""
    for start in range(0, len(data), WINDOW):
        yield data[start : start + WINDOW]


def _inflate(stream: _Stream, data: bytes) -> Iterator[bytes]:
    """What ``data`` inflates to; a full piece means that more may be waiting inside zlib."""
    full = True
    while (data or full) and not stream.eof:
        try:
            piece = stream.decompress(data, PIECE)
        except zlib.error:
            raise Refused(Reason.MALFORMED, "The compressed body is damaged.") from None
        data, full = stream.unconsumed_tail, len(piece) == PIECE
        if piece:
            yield piece


def _cut(coding: str) -> Refused:
    return Refused(Reason.MALFORMED, f"The {coding} body ends before its compressed data does.")
