"""Compressed bodies: HTTP content codings and ClickHouse's native compressed blocks, both ways, always bounded."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import lz4.block
import lz4.frame
from clickhouse_cityhash.cityhash import CityHash128

from otel_exporter.endpoint.faults import Fault
from otel_exporter.failures import Refused
from otel_exporter.receivers.body import PIECE, Deflate, Gzip, Inflation

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ZSTD_WINDOW_LOG: Final = 25  # 32 MiB: as much memory as a sender can make one frame take
_FRAMES: Final = 10_000  # each costs a decompressor: a body of a million empty ones would be a bomb of another kind
_WINDOW: Final = 65_536
#: Native block: checksum (16), then method, compressed size with these 9 bytes, uncompressed size.
_HEAD: Final = struct.Struct("<BII")
_CHECKSUM: Final = 16
_PLAIN, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_BLOCK: Final = 1 << 20


class Framed:
    """A format of frames one after the other: LZ4 frame, zstd."""

    def __init__(self, decompressor: Callable[[], Any]) -> None:
        self._new = decompressor
        self._open: Any = None
        self._frames = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `receivers.body.Inflation`."""
        for start in range(0, len(data), _WINDOW):
            yield from self._feed(data[start : start + _WINDOW])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._open is None:
                self._frames += 1
                if self._frames > _FRAMES:
                    raise _damaged(f"more than {_FRAMES} frames")
                self._open = self._new()
            yield from self._frame(data)
            if not self._open.eof:
                return
            data, self._open = self._open.unused_data or b"", None

    def _frame(self, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = self._open.decompress(data, PIECE)
            except (RuntimeError, ValueError, zstd.ZstdError):
                raise _damaged("the data are damaged") from None
            data = b""
            if piece:
                yield piece
            if self._open.eof or self._open.needs_input:
                return

    def finish(self) -> None:
        """See `receivers.body.Inflation`."""
        if self._open is not None:
            raise _damaged("the data end early")


def _zstd_decompressor() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


_INFLATIONS: Final[dict[str, Callable[[], Inflation]]] = {
    "gzip": Gzip,
    "x-gzip": Gzip,
    "deflate": Deflate,
    "lz4": lambda: Framed(lz4.frame.LZ4FrameDecompressor),
    "zstd": lambda: Framed(_zstd_decompressor),
}


def unpacked(body: bytes, encoding: str, *, native: bool, most: int) -> bytes:
    """A request's body as it was before it was compressed.

    Args:
        body: as sent.
        encoding: of the Content-Encoding header; empty or `identity` for none.
        native: whether what is then left are native compressed blocks (`decompress=1`).
        most: bytes it may have; unpacking stops there.

    Raises:
        Fault: it is larger, damaged (354, 271), its checksum is wrong (40), or the coding is not known (48).
    """
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity"):
        if encoding not in _INFLATIONS:
            raise Fault(48, "NOT_IMPLEMENTED", "Content-Encoding must be gzip, deflate, lz4 or zstd")
        body = _joined(_inflated(_INFLATIONS[encoding](), body), most)
    return _joined(_blocks(body, most), most) if native else body


def _inflated(inflation: Inflation, body: bytes) -> Iterator[bytes]:
    try:
        yield from inflation.feed(body)
        inflation.finish()
    except Refused as refused:
        raise _damaged(refused.sentence) from None


def _joined(pieces: Iterable[bytes], most: int) -> bytes:
    whole = bytearray()
    for piece in pieces:
        if len(whole) + len(piece) > most:
            raise too_large(most)
        whole += piece
    return bytes(whole)


def too_large(most: int) -> Fault:
    """A body over its bound."""
    return Fault(1002, "UNKNOWN_EXCEPTION", f"the request's body is larger than the {most} bytes allowed", status=413)


def _blocks(body: bytes, most: int) -> Iterator[bytes]:
    """The contents of native blocks; only what says it is small enough, with a right checksum, is unpacked."""
    at = 0
    while at < len(body):
        head = body[at + _CHECKSUM : at + _CHECKSUM + _HEAD.size]
        if len(head) < _HEAD.size:
            raise _damaged("a compressed block ends early")
        method, size, plain = _HEAD.unpack(head)
        block = body[at + _CHECKSUM : at + _CHECKSUM + size]
        if size < _HEAD.size or len(block) < size:
            raise _damaged("a compressed block ends early")
        if plain > most:
            raise too_large(most)
        if _checksum(block) != body[at : at + _CHECKSUM]:
            raise Fault(40, "CHECKSUM_DOESNT_MATCH", "Checksum of a compressed block doesn't match: corrupted data")
        yield _block(method, block[_HEAD.size :], plain)
        at += _CHECKSUM + size


def _block(method: int, data: bytes, plain: int) -> bytes:
    try:
        if method == _LZ4:
            content = bytes(lz4.block.decompress(data, uncompressed_size=plain))
        elif method == _ZSTD:
            content = bytes(_zstd_decompressor().decompress(data, plain))
        elif method == _PLAIN:
            content = data
        else:
            raise Fault(89, "UNKNOWN_COMPRESSION_METHOD", "a compressed block must be LZ4, ZSTD or NONE")
    except (lz4.block.LZ4BlockError, zstd.ZstdError, ValueError):
        raise _cannot_decompress() from None
    if len(content) != plain:
        raise _cannot_decompress()
    return content


def _cannot_decompress() -> Fault:
    return Fault(271, "CANNOT_DECOMPRESS", "Cannot decompress a compressed block")


def _damaged(why: str) -> Fault:
    return Fault(354, "ZLIB_INFLATE_FAILED", f"the body cannot be decompressed: {why}")


def _checksum(block: bytes) -> bytes:
    """CityHash128 of version 1.0.2, which ClickHouse has stayed with."""
    number = CityHash128(block)
    return struct.pack("<QQ", number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF)


class Packer(Protocol):
    """Compresses an answer piece by piece."""

    def compress(self, data: bytes) -> bytes:
        """What is ready of it; maybe nothing yet."""

    def flush(self) -> bytes:
        """The rest; nothing may follow."""


class Unchanged:
    """No compression."""

    def compress(self, data: bytes) -> bytes:
        """The same bytes."""
        return data

    def flush(self) -> bytes:
        """Nothing."""
        return b""


class NativeBlocks:
    """ClickHouse's compressed blocks (`compress=1`), by LZ4."""

    def compress(self, data: bytes) -> bytes:
        """Whole blocks, each with its checksum."""
        return b"".join(self._packed(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK))

    def _packed(self, data: bytes) -> bytes:
        packed: bytes = lz4.block.compress(data, store_size=False)
        block = _HEAD.pack(_LZ4, len(packed) + _HEAD.size, len(data)) + packed
        return _checksum(block) + block

    def flush(self) -> bytes:
        """Nothing: every block is whole."""
        return b""


class Lz4Frame:
    """LZ4 frame format."""

    def __init__(self) -> None:
        self._compressor = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        """See `Packer`."""
        head = b"" if self._begun else bytes(self._compressor.begin())
        self._begun = True
        packed: bytes = self._compressor.compress(data)
        return head + packed

    def flush(self) -> bytes:
        """See `Packer`."""
        return (b"" if self._begun else bytes(self._compressor.begin())) + bytes(self._compressor.flush())


#: The content codings of answers, the quickest first.
_PACKERS: Final[dict[str, Callable[[], Packer]]] = {
    "lz4": Lz4Frame,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS),
    "deflate": lambda: zlib.compressobj(1),
}


def packer(accepted: str, *, native: bool) -> tuple[str, Packer]:
    """How to compress an answer: its Content-Encoding (empty for none), and what does it.

    Args:
        accepted: the Accept-Encoding header; empty for none.
        native: whether native compressed blocks are asked for (`compress=1`); they are no content coding.
    """
    if native:
        return "", NativeBlocks()
    offered = {coding.partition(";")[0].strip().lower() for coding in accepted.split(",") if ";q=0" not in coding}
    for name, made in _PACKERS.items():
        if name in offered:
            return name, made()
    return "", Unchanged()
