"""Freezing: the oldest segments become one batch of files that is inserted as it is, however often it takes.

A batch is a directory: one Arrow file per insert, and a manifest that names the segments it came from and the inserts
in order, each with the token that makes repeating it harmless. The ledger's entries are computed here, once; nothing
of a frozen batch is ever computed again.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from clickhouse_schema import tables
from otel_exporter import arrow_file, durable
from otel_exporter.failpoints import reach
from otel_exporter.segment import Segment, SegmentId
from otel_exporter.spool import Spool

OBSERVATIONS: Final = "observations"
MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
INSERTED: Final = ".inserted"  # suffix of a batch whose files are all in ClickHouse

#: Highest block number per table: equal before and after a failed insert means that it wrote nothing.
Marks = Mapping[str, int]


class Poster(Protocol):
    """Turns observations into rows of the ledger (and of whatever else is derived from them)."""

    def entries(self, tenant: str, observations: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Table -> rows to insert. May read the store; called once per tenant of a batch."""
        ...


@dataclass(frozen=True)
class Bounds:
    """How much one batch and one file may hold. The first segment is always taken, whatever its size."""

    batch_rows: int = 500_000
    batch_bytes: int = 64 * 2**20  # in memory
    file_rows: int = 900_000  # ClickHouse cuts blocks at 1,048,449
    file_bytes: int = 150 * 2**20  # in memory
    file_partitions: int = 50  # ClickHouse refuses more than 100 in one block


@dataclass(frozen=True)
class Insert:
    """One file, one table, one block, one token."""

    table: str
    file: str
    token: str
    rows: int
    marks: Marks | None  # before its first attempt; None: take them before attempting it


@dataclass(frozen=True)
class FrozenBatch:
    """A batch on disk. `save` is what makes a change to it true."""

    directory: Path
    segments: tuple[SegmentId, ...]
    inserts: tuple[Insert, ...]
    dead_rows: int = 0

    @property
    def id(self) -> str:
        """Unique for ever: tokens begin with it."""
        return self.directory.name

    @property
    def rows(self) -> int:
        """Rows still to insert."""
        return sum(insert.rows for insert in self.inserts)

    def path(self, insert: Insert) -> Path:
        """The file of an insert."""
        return self.directory / insert.file

    def replaced(self, old: Insert, *new: Insert, dead_rows: int = 0) -> FrozenBatch:
        """This batch with other inserts in the place of ``old``."""
        inserts = (item for insert in self.inserts for item in (new if insert is old else (insert,)))
        return replace(self, inserts=tuple(inserts), dead_rows=self.dead_rows + dead_rows)

    def save(self) -> None:
        """Replace the manifest, durably. Raises OSError."""
        durable.write_file(self.directory / MANIFEST, self.manifest())

    def manifest(self) -> bytes:
        """The manifest's text."""
        inserts = [asdict(insert) for insert in self.inserts]
        content = {"format": FORMAT, "segments": self.segments, "inserts": inserts, "dead_rows": self.dead_rows}
        return json.dumps(content, indent=1).encode()


def load(directory: Path) -> FrozenBatch:
    """A batch that an earlier process froze."""
    content: dict[str, Any] = json.loads((directory / MANIFEST).read_bytes())
    if content["format"] != FORMAT:
        raise ValueError(f"batch {directory.name}: format {content['format']} is not known to this version")
    inserts = tuple(Insert(**insert) for insert in content["inserts"])
    return FrozenBatch(directory, tuple(content["segments"]), inserts, content["dead_rows"])


class Freezer:
    """Makes batches out of the oldest segments of a spool."""

    def __init__(
        self,
        spool: Spool,
        directory: Path,
        poster: Poster,
        marks: Callable[[], Marks],
        bounds: Bounds,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._poster = poster
        self._marks = marks
        self._bounds = bounds
        self._now = now

    def freeze(self) -> FrozenBatch | None:
        """Freeze the oldest segments; None when there are none.

        Raises:
            StoreUnavailable, StoreRejected: the poster could not read the ledger; nothing was frozen.
            OSError: the disk refuses; nothing was frozen.
            ValueError: rows do not fit their table; a fault of ours, never of the data.
        """
        if not self._spool.segments():
            return None
        marks = self._marks()  # before anything is read: while ClickHouse is away, waiting costs no memory
        segments, contents = self._gather()
        return self._frozen(segments, self._frames(segments, contents), marks) if segments else None

    def freeze_rows(self, rows: Mapping[str, pl.DataFrame]) -> FrozenBatch:
        """Freeze rows (by table) that come from no segment; the batch is theirs alone. Raises OSError, ValueError."""
        for table, frame in rows.items():
            tables.check(table, frame)
        return self._frozen([], dict(rows), self._marks())

    def _frozen(self, segments: list[Segment], frames: dict[str, pl.DataFrame], marks: Marks) -> FrozenBatch:
        path = self._directory / f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        with durable.new_directory(path) as hidden:
            inserts = tuple(self._write(hidden, path.name, frames, marks))
            batch = FrozenBatch(path, tuple(segment.id for segment in segments), inserts)
            with durable.synced_file(hidden / MANIFEST) as file:
                file.write(batch.manifest())
        reach("after-freeze")
        return batch

    def _gather(self) -> tuple[list[Segment], list[dict[str, pl.DataFrame]]]:
        """The oldest segments up to the bounds, and their tables; segments of one shape only."""
        taken, contents = [], []
        budget = _Budget(self._bounds)
        for segment in self._spool.segments():
            if not budget.takes(segment):
                break
            content = self._spool.read(segment)
            if content is not None:
                taken.append(segment)
                contents.append(content)
        return taken, contents

    def _frames(self, segments: list[Segment], contents: list[dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
        """Rows by table: what landed, and what the poster makes of each tenant's observations. Uses up ``contents``."""
        parts: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
        observed: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
        for segment in segments:
            content = contents.pop(0)
            for table, rows in content.items():
                (observed[segment.tenant] if table == OBSERVATIONS else parts[table]).append(self._stamped(table, rows))
        for tenant in list(observed):
            for table, rows in self._poster.entries(tenant, pl.concat(observed.pop(tenant))).items():
                tables.check(table, rows)
                parts[table].append(rows)
        return {table: _joined(table, rows) for table, rows in parts.items()}

    def _stamped(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Entries that waited in the spool are posted now, not when somebody computed them: the books have a cut."""
        if table != "genai_ledger" or self._now is None:
            return rows
        return rows.with_columns(posted_at=pl.lit(self._now()).cast(rows.schema["posted_at"]))

    def _write(self, directory: Path, batch: str, frames: dict[str, pl.DataFrame], marks: Marks) -> Iterator[Insert]:
        """Write every table and let go of it: the largest alone decide how much memory this takes."""
        for table in list(frames):
            for part, block in enumerate(blocks(table, frames.pop(table), self._bounds)):
                file = f"{table}-{part}.arrow"
                write_rows(directory / file, block)
                # Only the first file of a table can rely on marks taken now: the others are written after it.
                yield Insert(table, file, f"{batch}/{table}/{part}", block.height, marks if part == 0 else None)


class _Budget:
    """Decides how far one batch reaches."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._rows = 0
        self._bytes = 0
        self._shapes: dict[str, int] = {}

    def takes(self, segment: Segment) -> bool:
        """Whether the batch reaches this segment; if so it is counted."""
        self._rows += segment.rows
        self._bytes += segment.memory
        first = not self._shapes
        alike = all(self._shapes.setdefault(name, body.shape) == body.shape for name, body in segment.tables.items())
        return first or (alike and self._rows <= self._bounds.batch_rows and self._bytes <= self._bounds.batch_bytes)


def blocks(table: str, frame: pl.DataFrame, bounds: Bounds) -> Iterator[pl.DataFrame]:
    """The frame cut so that each piece is one insert block: few partitions, bounded rows and bytes.

    Rows of a partition stay together and in order.
    """
    rows = max(1, min(bounds.file_rows, bounds.file_bytes * frame.height // max(1, int(frame.estimated_size()))))
    for group in _groups(frame, frame.select(_partition(table)).to_series(), bounds.file_partitions):
        yield from group.iter_slices(rows)


def _groups(frame: pl.DataFrame, partition: pl.Series, most: int) -> list[pl.DataFrame]:
    """The frame by groups of at most ``most`` neighbouring partitions."""
    if partition.n_unique() <= most:
        return [frame]
    group = ((partition.rank("dense") - 1) // most).alias("group")
    return [frame.filter(group == number) for number in group.unique().sort()]


def halve(batch: FrozenBatch, insert: Insert) -> FrozenBatch:
    """Freeze an insert again as two, under derived tokens; only right when it has written nothing.

    Rows are ordered by partition, so that halves span fewer of them. Raises OSError; then nothing has changed.
    """
    rows = pl.read_ipc(batch.path(insert)).sort(_partition(insert.table), maintain_order=True)
    middle = rows.height // 2
    halves = [_derived(batch, insert, "0", rows[:middle]), _derived(batch, insert, "1", rows[middle:])]
    durable.sync_directory(batch.directory)
    refrozen = batch.replaced(insert, *halves)
    refrozen.save()
    return refrozen


def _derived(batch: FrozenBatch, insert: Insert, suffix: str, rows: pl.DataFrame) -> Insert:
    file = f"{insert.file.removesuffix('.arrow')}.{suffix}.arrow"
    write_rows(batch.directory / file, rows)
    return Insert(insert.table, file, f"{insert.token}/{suffix}", rows.height, marks=None)


def _partition(table: str) -> pl.Expr:
    column, length = tables.PARTITIONED_BY[table]
    return pl.col(column).dt.truncate(length)


def write_rows(path: Path, rows: pl.DataFrame) -> None:
    """Write one file of a batch; its name becomes durable with the directory. Raises OSError."""
    with durable.synced_file(path) as file:
        arrow_file.write(rows, file)


def _joined(table: str, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows of one table. Those of an older version may lack columns (ClickHouse fills them in), never have others."""
    rows = pl.concat(parts)
    unknown = sorted(set(rows.columns) - set(tables.COLUMNS.get(table, ())))
    if unknown:
        raise ValueError(f"{table} has no columns {', '.join(unknown)}")
    return rows
