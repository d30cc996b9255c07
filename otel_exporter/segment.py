"""A segment on disk: the tables of one group commit of one tenant, in one file.

::

    magic | Arrow IPC file | Arrow IPC file | ... | manifest (JSON) | offset, length, crc32 of the manifest | magic

One file and not a directory of files: it costs two fsyncs instead of six, and every request waits for them. Arrow IPC
*files*, because a cut stream reads as zero rows without any error. Each body carries a checksum in the manifest.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NewType

import polars as pl

from otel_exporter import arrow_file

SegmentId = NewType("SegmentId", str)

SUFFIX: Final = ".segment"
FORMAT: Final = 1
_MAGIC: Final = b"TIDESEG1"
_FOOTER: Final = struct.Struct("<QII8s")  # manifest offset, manifest length, manifest crc32, magic


class CorruptSegment(Exception):
    """The bytes on disk are not the bytes that were acknowledged. The message names the part, never its content."""


@dataclass(frozen=True)
class Body:
    """Where one table lies in the file, and what it is."""

    rows: int
    memory: int  # bytes as a Polars frame: what freezing it will need
    shape: int  # crc32 of column names and types: only equal shapes are joined
    offset: int
    length: int
    crc32: int


@dataclass(frozen=True)
class Segment:
    """What the manifest of a segment says."""

    id: SegmentId
    tenant: str
    created_at: float  # seconds since 1970
    digests: tuple[bytes, ...]
    tables: Mapping[str, Body]
    bytes: int  # of the file

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(body.rows for body in self.tables.values())

    @property
    def memory(self) -> int:
        """Bytes of all tables in memory."""
        return sum(body.memory for body in self.tables.values())


def write(
    file: BinaryIO,
    identity: SegmentId,
    tables: Mapping[str, pl.DataFrame],
    tenant: str,
    digests: Sequence[bytes],
    created_at: float,
) -> Segment:
    """Write one segment into an empty file opened for reading and writing; tables without rows are left out."""
    file.write(_MAGIC)
    extents = {name: _write_body(file, frame) for name, frame in tables.items() if frame.height}
    manifest = {
        "format": FORMAT,
        "tenant": tenant,
        "created_at": created_at,
        "digests": [digest.hex() for digest in digests],
        "tables": {name: asdict(_body(file, tables[name], *extent)) for name, extent in extents.items()},
    }
    text = json.dumps(manifest, separators=(",", ":")).encode()
    offset = file.seek(0, os.SEEK_END)
    file.write(text + _FOOTER.pack(offset, len(text), zlib.crc32(text), _MAGIC))
    return _segment(identity, manifest, size=file.tell())


def _write_body(file: BinaryIO, frame: pl.DataFrame) -> tuple[int, int]:
    start = file.seek(0, os.SEEK_END)
    arrow_file.write(frame, file)
    return start, file.seek(0, os.SEEK_END)


def _body(file: BinaryIO, frame: pl.DataFrame, start: int, end: int) -> Body:
    return Body(
        rows=frame.height,
        memory=int(frame.estimated_size()),
        shape=shape(frame),
        offset=start,
        length=end - start,
        crc32=_checksum(file, start, end),
    )


def shape(frame: pl.DataFrame) -> int:
    """A number that two frames share when their column names and types are equal."""
    return zlib.crc32(repr(frame.schema).encode())


def _checksum(file: BinaryIO, start: int, end: int) -> int:
    with (
        mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
        view[start:end] as part,
    ):
        return zlib.crc32(part)


def load(path: Path, *, verify: bool) -> Segment:
    """Read the manifest of a segment; with ``verify`` check every body as well.

    Raises:
        CorruptSegment: magic, manifest or a checksum does not agree.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        manifest = _manifest(file, size)
        segment = _segment(SegmentId(path.name.removesuffix(SUFFIX)), manifest, size)
        if verify:
            for name, body in segment.tables.items():
                if _checksum(file, body.offset, body.offset + body.length) != body.crc32:
                    raise CorruptSegment(f"table {name}: checksum differs")
    return segment


def _manifest(file: BinaryIO, size: int) -> dict[str, Any]:
    if size < len(_MAGIC) + _FOOTER.size:
        raise CorruptSegment("too short")
    file.seek(size - _FOOTER.size)
    offset, length, checksum, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    if magic != _MAGIC or offset + length + _FOOTER.size != size:
        raise CorruptSegment("no footer")
    file.seek(offset)
    text = file.read(length)
    if zlib.crc32(text) != checksum:
        raise CorruptSegment("manifest: checksum differs")
    manifest: dict[str, Any] = json.loads(text)
    if manifest["format"] != FORMAT:
        raise CorruptSegment(f"format {manifest['format']} is not known to this version")
    return manifest


def _segment(identity: SegmentId, manifest: dict[str, Any], size: int) -> Segment:
    return Segment(
        id=identity,
        tenant=manifest["tenant"],
        created_at=manifest["created_at"],
        digests=tuple(bytes.fromhex(digest) for digest in manifest["digests"]),
        tables={name: Body(**body) for name, body in manifest["tables"].items()},
        bytes=size,
    )


def read(path: Path, segment: Segment) -> dict[str, pl.DataFrame]:
    """The tables of a segment.

    Raises:
        CorruptSegment: a checksum does not agree.
    """
    with path.open("rb") as file:
        return {name: _read_body(file, name, body) for name, body in segment.tables.items()}


def _read_body(file: BinaryIO, name: str, body: Body) -> pl.DataFrame:
    file.seek(body.offset)
    content = file.read(body.length)
    if zlib.crc32(content) != body.crc32:
        raise CorruptSegment(f"table {name}: checksum differs")
    return pl.read_ipc(content)
