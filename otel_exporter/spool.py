"""The spool: what is acknowledged and not yet in ClickHouse, on disk.

``append`` returning is the acknowledgement. One process owns a spool (`DirectoryLock`); any thread may append, one
thread (the writer) reads and removes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl
import structlog

from clickhouse_schema.lock import DirectoryLock
from otel_exporter import durable, segment
from otel_exporter.deadletter import DeadLetters, Explanation
from otel_exporter.digests import Key, RecentDigests, key
from otel_exporter.failpoints import reach
from otel_exporter.failures import Reason, RetryLater
from otel_exporter.segment import CorruptSegment, Segment, SegmentId
from otel_exporter.telemetry import Metric

DIGEST_LIMIT: Final = 200_000  # about 30 MiB of memory
CACHE_BYTES: Final = 64 * 2**20
_log = structlog.get_logger(__name__)


def survey(directory: Path) -> list[Segment]:
    """What the spool in ``directory`` holds, oldest first, without owning it; unreadable segments are left out."""
    found = []
    for path in _segment_paths(directory / "segments"):
        try:
            found.append(segment.load(path, verify=False))
        except (CorruptSegment, FileNotFoundError):
            continue
    return found


class Spool:
    """Segments on disk, bounded in bytes.

    Args:
        directory: holds ``segments/``, ``dead-letter/``, ``batches/`` (the writer's), the digest journal, the lock.
        max_bytes: of all segments. Freezing needs room beside it: a batch is a second copy of what is being written.
        digest_window_seconds: how long a byte-identical request is recognised.
        clock: seconds since 1970.
        steady: the same, but not moved when somebody sets the clock: resends are recognised by it. Default: what the
            clock said at the start, and what has passed since then.
        cache_bytes: memory for tables appended and not yet frozen, so that freezing need not read them back.

    Raises:
        StoreLocked: another process owns the directory.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        digest_window_seconds: float = 600.0,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self.directory = directory
        self._path = directory / "segments"
        self._path.mkdir(parents=True, exist_ok=True)
        self._owned = DirectoryLock(directory)
        self._max_bytes = max_bytes
        self._clock = clock
        self._steady = steady or _steady(clock())
        self._lock = threading.Lock()
        self._segments: dict[SegmentId, Segment] = {}
        self._bytes = 0  # of all segments, and of those being written
        self._last = 0  # nanoseconds in the newest id
        self._cache = _Cache(cache_bytes)
        self.dead_letters = DeadLetters(directory / "dead-letter")
        self._load()
        self._digests = RecentDigests(directory / "digests.journal", digest_window_seconds, DIGEST_LIMIT, clock())
        self._digests.remember(
            (name, min(found.created_at, clock())) for found in self.segments() for name in _keys(found)
        )

    def append(self, tables: Mapping[str, pl.DataFrame], tenant: str, digests: Sequence[bytes]) -> SegmentId | None:
        """Make the tables of one group commit durable; when this returns, the senders may be answered.

        Args:
            tables: landing tables and ``observations``; tables without rows are left out.
            tenant: whose they are.
            digests: of the requests they came from.

        Returns:
            The segment's id; None when no table has rows (nothing to store, nothing to lose).

        Raises:
            RetryLater: the spool is full, or the disk refuses; nothing is left behind.
        """
        if not any(frame.height for frame in tables.values()):
            return None
        reach("before-spool")
        written = self._write(tables, tenant, digests)
        reach("after-spool")
        with self._lock:
            self._segments[written.id] = written
        self._cache.put(written, tables)
        now = self._steady()
        self._digests.remember((name, now) for name in _keys(written))
        self._measure()
        return written.id

    def _write(self, tables: Mapping[str, pl.DataFrame], tenant: str, digests: Sequence[bytes]) -> Segment:
        identity = self._next_id()
        reserved = 0
        try:
            self._reserve(0)
            with durable.new_file(self._file(identity)) as file:
                written = segment.write(file, identity, tables, tenant, digests, self._clock())
                self._reserve(written.bytes)
                reserved = written.bytes
        except OSError as error:
            self._release(reserved)
            _log.error("the spool's disk refuses", error=str(error))
            raise RetryLater(Reason.SPOOL_FULL, "the spool's disk is full or failing", delay=5.0) from error
        return written

    def _reserve(self, size: int) -> None:
        with self._lock:
            if self._bytes + size >= self._max_bytes:
                raise RetryLater(Reason.SPOOL_FULL, "the spool is full: ClickHouse is slow or down", delay=5.0)
            self._bytes += size

    def _release(self, size: int) -> None:
        with self._lock:
            self._bytes -= size

    def seen(self, tenant: str, digest: bytes) -> bool:
        """Whether a request of these bytes was made durable within the digest window."""
        return self._digests.seen(key(tenant, digest), self._steady())

    def segments(self) -> list[Segment]:
        """What is acknowledged and not yet removed, oldest first."""
        with self._lock:
            return sorted(self._segments.values(), key=lambda found: found.id)

    def read(self, wanted: Segment) -> dict[str, pl.DataFrame] | None:
        """The tables of a segment; None when its bytes have changed (it is then a dead letter)."""
        cached = self._cache.get(wanted.id)
        if cached is not None:
            return cached
        try:
            return segment.read(self._file(wanted.id), wanted)
        except CorruptSegment as error:
            self._bury(self._file(wanted.id), wanted.rows, error)
            self._forget(wanted)
            return None

    def remove(self, ids: Iterable[SegmentId]) -> None:
        """Delete segments that are in ClickHouse; ids already gone are fine. Their digests stay recognised."""
        with self._lock:
            leaving = [self._segments[identity] for identity in ids if identity in self._segments]
        self._digests.keep([name for found in leaving for name in _keys(found)])
        for found in leaving:
            self._file(found.id).unlink(missing_ok=True)
            self._forget(found)
            reach("between-deletes")
        durable.sync_directory(self._path)
        self._measure()

    @property
    def bytes(self) -> int:
        """Bytes of all segments."""
        return self._bytes

    def close(self) -> None:
        """Let another process own the directory."""
        self._owned.release()

    def _load(self) -> None:
        durable.sweep(self._path)
        for path in _segment_paths(self._path):
            try:
                found = segment.load(path, verify=True)
            except CorruptSegment as error:
                self._bury(path, 0, error)
            else:
                self._segments[found.id] = found
        self._bytes = sum(found.bytes for found in self._segments.values())
        self._last = max((_nanoseconds(identity) for identity in self._segments), default=0)
        self._measure()

    def _bury(self, path: Path, rows: int, error: CorruptSegment) -> None:
        self.dead_letters.keep_file(path, Explanation("", rows, f"corrupt segment: {error}", None, self._clock()))
        Metric.CORRUPT_SEGMENTS.add()
        _log.error("a corrupt segment is now a dead letter", segment=path.name, rows=rows, problem=str(error))

    def _forget(self, gone: Segment) -> None:
        with self._lock:
            del self._segments[gone.id]
            self._bytes -= gone.bytes
        self._cache.drop(gone)

    def _next_id(self) -> SegmentId:
        """Ids sort by age even when the clock steps back; the random part keeps them from ever being used again."""
        with self._lock:
            self._last = max(self._last + 1, int(self._clock() * 1e9))
            return SegmentId(f"{self._last:020d}-{secrets.token_hex(4)}")

    def _file(self, identity: SegmentId) -> Path:
        return self._path / (identity + segment.SUFFIX)

    def _measure(self) -> None:
        Metric.SPOOL_BYTES.set(self._bytes)
        Metric.SPOOL_SEGMENTS.set(len(self._segments))


class _Cache:
    """Tables of the newest segments, up to a number of bytes of memory; what does not fit is read back from disk."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._tables: dict[SegmentId, dict[str, pl.DataFrame]] = {}
        self._lock = threading.Lock()

    def put(self, owner: Segment, tables: Mapping[str, pl.DataFrame]) -> None:
        with self._lock:
            if owner.memory <= self._left:
                self._left -= owner.memory
                self._tables[owner.id] = {name: tables[name] for name in owner.tables}

    def get(self, identity: SegmentId) -> dict[str, pl.DataFrame] | None:
        return self._tables.get(identity)

    def drop(self, owner: Segment) -> None:
        with self._lock:
            if self._tables.pop(owner.id, None) is not None:
                self._left += owner.memory


def _segment_paths(directory: Path) -> list[Path]:
    return sorted(directory.glob("*" + segment.SUFFIX)) if directory.exists() else []


def _nanoseconds(identity: SegmentId) -> int:
    return int(identity.partition("-")[0])


def _keys(segment: Segment) -> list[Key]:
    return [key(segment.tenant, digest) for digest in segment.digests]


def _steady(start: float) -> Callable[[], float]:
    began = time.monotonic()
    return lambda: start + time.monotonic() - began
