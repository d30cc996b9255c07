"""The writer: one thread that moves the spool into ClickHouse, one frozen batch at a time.

    freeze -> insert every file under its token -> mark inserted -> delete segments -> delete batch

Strictly sequential: while a batch is in doubt, the next one is not looked at. Whatever moment the process dies at, the
next one finds either segments only (freezes them), a frozen batch (inserts the same files under the same tokens, which
completes what is missing and repeats nothing), or a batch marked inserted (deletes).
"""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Protocol

import polars as pl
import structlog

from clickhouse_schema.errors import StoreRejected, StoreUnavailable
from clickhouse_schema.runner import MigrationRefused
from clickhouse_schema.tables import DATABASE
from otel_exporter import durable, freeze
from otel_exporter.deadletter import Explanation
from otel_exporter.failpoints import reach
from otel_exporter.failures import Reason, RetryLater
from otel_exporter.footprint import Footprints, Queries
from otel_exporter.freeze import Bounds, Freezer, FrozenBatch, Insert, Poster
from otel_exporter.spool import Spool
from otel_exporter.telemetry import Metric

TOO_MANY_PARTS: Final = 252
_log = structlog.get_logger(__name__)


class Destination(Queries, Protocol):
    """The part of the store the writer needs."""

    def insert_file(self, table: str, path: Path, token: str) -> None:
        """Insert one Arrow file as one block, at most once per token."""
        ...

    def refuses(self, table: str, path: Path) -> bool:
        """Whether the table itself refuses the file."""
        ...


class WriterStopped(Exception):
    """The writer will not go on by itself; nothing acknowledged is lost, the spool keeps it."""


class InDoubt(Exception):
    """An insert failed for good after it wrote something: only the same file under the same token is safe."""


@dataclass(frozen=True)
class State:
    """What the writer is doing, for health checks."""

    name: Literal["idle", "writing", "backing_off", "stopped"]
    reason: str = ""  # safe to show: never holds payload
    since: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Tolerance:
    """How many rows may become dead letters before the code, and not the data, must be bad.

    Counted over the batches since the last one without dead letters: at most ``rows``, or ``fraction`` of all rows
    when that is more.
    """

    rows: int = 100
    fraction: float = 0.01


class Backoff:
    """Exponential waits with full jitter: about 0.2 s at first, 30 s at most."""

    def __init__(self, first: float = 0.2, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._failures = 0

    def wait(self) -> float:
        """Seconds to wait after one more failure."""
        self._failures += 1
        return random.uniform(0.5, 1.0) * min(self._most, self._first * 2.0 ** min(self._failures - 1, 20))

    def reset(self) -> None:
        """After a success."""
        self._failures = 0


class Writer:
    """Moves a spool into a store. `run` is its thread; `step` and `drain` are for those who have none.

    Args:
        spool: where segments come from; batches are in its ``batches/``.
        store: where they go.
        poster: computes ledger entries, once per batch and tenant.
        bounds: of batches and files.
        tolerance: of dead letters.
        every: seconds between two batches when there is no backlog.
        repairs: rows (by table) to post before the next batch, mostly none. Asked only while no batch is in doubt,
            so that it sees all that was posted and nothing is posted before what it answers.
        now: when a posting is made, for entries that waited in the spool; None leaves them as they are.
        shared: others write to the same tables.
        prepare: asked before every step, until it does not fail: what the store needs before it is used.
    """

    def __init__(  # noqa: PLR0913 - parts and bounds, each by its name
        self,
        spool: Spool,
        store: Destination,
        poster: Poster,
        *,
        bounds: Bounds | None = None,
        tolerance: Tolerance | None = None,
        every: float = 1.0,
        repairs: Callable[[], Mapping[str, pl.DataFrame]] = dict,
        now: Callable[[], datetime] | None = None,
        shared: bool = False,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.state = State("idle")
        self._spool = spool
        self._store = store
        self._footprints = Footprints(store, DATABASE)
        self._batches = spool.directory / "batches"
        self._batches.mkdir(exist_ok=True)
        self._freezer = Freezer(spool, self._batches, poster, self._footprints.marks, bounds or Bounds(), now)
        self._tolerance = tolerance or Tolerance()
        self._every = every
        self._repairs = repairs
        self._shared = shared
        self._prepare = prepare
        self._backoff = Backoff()
        self._turn = threading.Lock()
        self._inserted: set[str] = set()  # tokens of the current batch that this process saw succeed
        self._dead_before, self._rows_before = 0, 0  # since the last batch without dead letters
        self._batch = self._recover()

    def run(self, stop: threading.Event) -> None:
        """Write until ``stop`` is set; no failure ends it."""
        while not stop.is_set():
            stop.wait(self._attempt())

    def drain(self, seconds: float) -> bool:
        """Write until the spool is empty; False when ``seconds`` were not enough or the writer has stopped."""
        until = time.monotonic() + seconds
        while self._batch is not None or self._spool.segments():
            pause = self._attempt()
            left = until - time.monotonic()
            if self.state.name == "stopped" or left <= 0:
                return False
            if self.state.name == "backing_off":
                time.sleep(min(pause, left))
        return True

    @contextmanager
    def standstill(self, seconds: float) -> Iterator[None]:
        """While the block runs nothing is posted, and everything acknowledged before it is in the store.

        Raises:
            WriterStopped: a person must look; `state` says why.
            RetryLater: ClickHouse did not take what waits within ``seconds``.
        """
        newest = max((segment.id for segment in self._spool.segments()), default="")
        until = time.monotonic() + seconds
        while True:
            with self._turn:
                if self._batch is None and all(segment.id > newest for segment in self._spool.segments()):
                    yield
                    return
            pause = self._attempt()
            if self.state.name == "stopped":
                raise WriterStopped(self.state.reason)
            if time.monotonic() > until:
                raise RetryLater(Reason.STORE, "ClickHouse does not take what is acknowledged; it stays in the spool")
            if self.state.name == "backing_off":
                time.sleep(min(pause, 1.0))

    def step(self) -> bool:
        """Write one batch; False when there was nothing to write.

        Raises:
            StoreUnavailable, OSError, InDoubt: try again later; the batch stays frozen.
            StoreRejected: a question was refused (inserts are not questions), which no batch can be blamed for: a table
                or a right is missing. Try again later, too: it may be mended, and stopping would only hide that.
            WriterStopped: a person must look; `state` says why.
        """
        with self._turn:
            if self.state.name == "stopped":
                raise WriterStopped(self.state.reason)
            self._prepared()
            self._batch = self._batch or self._next_batch()
            if self._batch is None:
                self._enter("idle")
                return False
            if self.state.name == "idle":  # while backing off it stays so until something succeeds
                self._enter("writing")
            self._insert_all()
            self._finish(self._batch)
            self._enter("idle")
            return True

    def _prepared(self) -> None:
        try:
            self._prepare()
        except MigrationRefused as refused:  # another version's database: nothing may be written to it
            raise self._stopped(str(refused)) from None

    def _next_batch(self) -> FrozenBatch | None:
        """What comes next, frozen. ClickHouse is asked what it knows, and nothing is frozen when it does not answer."""
        try:
            return self._repaired() or self._freezer.freeze()
        except (StoreRejected, StoreUnavailable) as error:
            Metric.LOOKUP_FAILURES.add(kind="permanent" if isinstance(error, StoreRejected) else "transient")
            raise

    def _repaired(self) -> FrozenBatch | None:
        rows = self._repairs()
        return self._freezer.freeze_rows(rows) if rows else None

    def _attempt(self) -> float:
        """One step that never raises; returns the seconds to wait before the next."""
        try:
            self.step()
        except (StoreUnavailable, StoreRejected, OSError, InDoubt) as error:
            return self._back_off(error)
        except WriterStopped:
            return self._every
        except Exception as error:  # bad code, not bad data: keep everything, say so, do not spin
            self._stop(f"{type(error).__name__} at {_place(error)}")
            return self._every
        self._backoff.reset()
        return self._until_next()

    def _until_next(self) -> float:
        """A batch begins when the oldest segment is ``every`` seconds old: at once when there is a backlog."""
        waiting = self._spool.segments()
        age = time.time() - waiting[0].created_at if waiting else 0.0
        return min(self._every, max(0.0, self._every - age))

    def _insert_all(self) -> None:
        """Insert what this process has not inserted yet, in order; afterwards all of the batch is in the store."""
        while (insert := self._next_insert()) is not None:
            reach("before-insert")
            try:
                self._store.insert_file(insert.table, self._current.path(insert), insert.token)
            except (StoreRejected, StoreUnavailable) as error:
                self._batch = self._after_failure(insert, error)
            else:
                self._inserted.add(insert.token)
                Metric.STORED.add(insert.rows, table=insert.table)
                reach("between-tables")
        reach("after-insert")

    def _next_insert(self) -> Insert | None:
        insert = next((found for found in self._current.inserts if found.token not in self._inserted), None)
        if insert is not None and insert.marks is None:
            marked = replace(insert, marks=self._footprints.marks())
            self._batch = self._current.replaced(insert, marked)
            self._batch.save()
            return marked
        return insert

    @property
    def _current(self) -> FrozenBatch:
        assert self._batch is not None
        return self._batch

    def _after_failure(self, insert: Insert, error: StoreRejected | StoreUnavailable) -> FrozenBatch:
        """The batch as it goes on after a failed insert, if it can.

        Raises:
            StoreUnavailable, InDoubt: try the same again later.
            WriterStopped: not the rows are at fault, or too many are.
        """
        if not _is_permanent(error):
            Metric.INSERT_FAILURES.add(kind="transient")
            raise error
        Metric.INSERT_FAILURES.add(kind="permanent")
        if not self._wrote_nothing(insert):
            raise InDoubt(f"{insert.table}: {error.sentence}, after it wrote a part (is a materialized view broken?)")
        if insert.rows > 1 and (error.code == TOO_MANY_PARTS or _blames_rows(error)):
            return freeze.halve(self._current, insert)
        if error.code == TOO_MANY_PARTS:
            raise error
        if not _blames_rows(error):
            raise self._stopped(f"{insert.table}: {error.sentence}")
        return self._bury(insert, error)

    def _wrote_nothing(self, insert: Insert) -> bool:
        """Where others write to the same tables, footprints are theirs as well as ours: the table is asked again."""
        untouched = self._footprints.untouched(insert.table, insert.marks or {})
        return untouched or (self._shared and self._store.refuses(insert.table, self._current.path(insert)))

    def _bury(self, insert: Insert, error: StoreRejected | StoreUnavailable) -> FrozenBatch:
        """Keep one poisonous row as a dead letter and go on without it."""
        batch = self._current
        dead = self._dead_before + batch.dead_rows + 1
        seen = self._rows_before + batch.rows + batch.dead_rows
        if dead > max(self._tolerance.rows, self._tolerance.fraction * seen):
            raise self._stopped(f"{insert.table}: {dead} of {seen} rows refused, the last with: {error.sentence}")
        name = f"{batch.id}-{insert.table}-{batch.dead_rows}"
        words = f"{error.sentence}: {error.detail}"
        explanation = Explanation(insert.table, insert.rows, words, error.code, time.time())
        self._spool.dead_letters.keep_rows(name, pl.read_ipc(batch.path(insert)), explanation)
        _log.error("a row is now a dead letter", table=insert.table, letter=name, error=error.sentence)
        shrunk = batch.replaced(insert, dead_rows=insert.rows)
        shrunk.save()
        return shrunk

    def _finish(self, batch: FrozenBatch) -> None:
        """Everything is in the store: say so durably, then delete. Begun again after any OSError, it goes on."""
        done = batch.directory.with_name(batch.id + freeze.INSERTED)
        if batch.directory.exists():
            durable.rename(batch.directory, done)
        self._clear(done, batch)
        self._batch = None  # not before: these segments must never be frozen again
        self._inserted.clear()
        self._tally(batch)
        Metric.LAST_STORED.set(time.time())

    def _clear(self, done: Path, batch: FrozenBatch) -> None:
        reach("before-delete")
        self._spool.remove(batch.segments)
        durable.remove_directory(done)

    def _tally(self, batch: FrozenBatch) -> None:
        if batch.dead_rows:
            self._dead_before += batch.dead_rows
            self._rows_before += batch.rows + batch.dead_rows
        else:
            self._dead_before, self._rows_before = 0, 0

    def _recover(self) -> FrozenBatch | None:
        """Finish deleting, sweep what was being frozen; the batch that is in doubt, if there is one."""
        durable.sweep(self._batches)
        found = sorted(self._batches.iterdir())
        for done in (path for path in found if path.name.endswith(freeze.INSERTED)):
            self._clear(done, freeze.load(done))
        frozen = [freeze.load(path) for path in found if not path.name.endswith(freeze.INSERTED)]
        if len(frozen) > 1:
            raise ValueError(f"{self._batches} holds {len(frozen)} frozen batches; only one can be")
        return frozen[0] if frozen else None

    def _back_off(self, error: Exception) -> float:
        reason = _reason(error)
        wait = self._backoff.wait()
        if self.state.reason != reason:
            _log.warning("cannot write, will try again", reason=reason, seconds=round(wait, 1))
        self._enter("backing_off", reason)
        return wait

    def _stopped(self, reason: str) -> WriterStopped:
        self._stop(reason)
        return WriterStopped(reason)

    def _stop(self, reason: str) -> None:
        _log.error("the writer has stopped; the spool keeps what is acknowledged", reason=reason)
        self._enter("stopped", reason)

    def _enter(self, name: Literal["idle", "writing", "backing_off", "stopped"], reason: str = "") -> None:
        if (self.state.name, self.state.reason) != (name, reason):
            self.state = State(name, reason)


def _is_permanent(error: StoreRejected | StoreUnavailable) -> bool:
    """A block over too many partitions is reported as if it would pass by itself; it does when it is cut."""
    return isinstance(error, StoreRejected) or (error.code == TOO_MANY_PARTS and "single INSERT block" in error.detail)


def _blames_rows(error: StoreRejected | StoreUnavailable) -> bool:
    return isinstance(error, StoreRejected) and error.blames_rows


def _reason(error: Exception) -> str:
    """A sentence without payload: the store's are safe, an OSError's holds at most a path of ours."""
    return f"disk: {error}" if isinstance(error, OSError) else str(error)


def _place(error: BaseException) -> str:
    """Where an unexpected exception was raised; its message could quote payload."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
