"""The writer: every acknowledged row is in ClickHouse exactly once, whatever fails and however often."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import polars as pl
import pytest

from clickhouse_schema import runner
from clickhouse_schema.errors import StoreUnavailable
from clickhouse_schema.store import Store
from otel_exporter.assembly import Assembly
from otel_exporter.freeze import Bounds
from otel_exporter.service import Readiness
from otel_exporter.spool import Spool
from otel_exporter.telemetry import Metric
from otel_exporter.writer import Backoff, InDoubt, Tolerance, Writer, WriterStopped
from tests.crash.spans import entries, observations, traces, uneven

VIEW = "otel.otel_traces_trace_id_ts_mv"


class Poster:
    """Posts one entry per observation; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def entries(self, tenant: str, seen: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """One ledger entry per observation."""
        self.asked += 1
        return {"genai_ledger": entries(seen)}


class Faulty:
    """The real store, failing when told: before an insert reaches it, or after it was done and nobody heard."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: list[Exception | None] = []
        self.after: list[Exception | None] = []
        self.arrow = store.arrow

    def insert_file(self, table: str, path: Path, token: str) -> None:
        """Insert, with the next faults of the lists."""
        _raise_next(self.before)
        self._store.insert_file(table, path, token)
        _raise_next(self.after)


def _raise_next(faults: list[Exception | None]) -> None:
    if faults and (fault := faults.pop(0)) is not None:
        raise fault


class House:
    """A spool and writers on it, over the real store; rows of this test are told apart by their trace id."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.trace = uuid.uuid4().hex
        self.store = store
        self.faulty = Faulty(store)
        self.spool = Spool(directory, 1 << 30, cache_bytes=0)
        self.poster = Poster()

    def writer(self, **options: object) -> Writer:
        """A new writer, as after a restart."""
        return Writer(self.spool, self.faulty, self.poster, every=0.01, **options)  # type: ignore[arg-type]

    def acknowledge(self, *span_ids: str, days: int = 1, seen: bool = False, poison: tuple[str, ...] = ()) -> None:
        """Append one segment."""
        rows = uneven(traces(span_ids, trace_id=self.trace, days=days), poison)
        ids = [f"{self.trace}/{span}" for span in span_ids] if seen else []
        self.spool.append({"otel_traces": rows, "observations": observations(ids)}, "t", [])

    def offer(self, tables: Mapping[str, pl.DataFrame], digest: bytes, _tenant: str) -> None:
        """Append once."""
        if not self.spool.seen("t", digest):
            self.spool.append(tables, "t", [digest])

    def stored(self) -> list[str]:
        """Span ids of this test in the store, one per row."""
        rows = self.store.arrow("SELECT SpanId FROM otel_traces WHERE TraceId = {t:String}", {"t": self.trace})
        return sorted(rows["SpanId"])

    def posted(self) -> list[str]:
        """Call keys of this test in the ledger, one per row."""
        rows = self.store.arrow(
            "SELECT call_key FROM genai_ledger WHERE startsWith(call_key, {t:String})", {"t": self.trace}
        )
        return sorted(key.rpartition("/")[2] for key in rows["call_key"])

    def view_agrees(self) -> bool:
        """Whether the view's target knows the trace as the base table does."""
        agrees = self.store.command(
            """SELECT (SELECT (toDateTime(min(Timestamp)), toDateTime(max(Timestamp)), count() > 0)
            FROM otel_traces WHERE TraceId = {t:String}) = (SELECT (min(Start), max(End), count() > 0)
            FROM otel_traces_trace_id_ts WHERE TraceId = {t:String})""",
            {"t": self.trace},
        )
        return agrees == "1"

    def leftovers(self) -> list[str]:
        """What the writer has left in its directory."""
        return [path.name for path in (self.spool.directory / "batches").iterdir()]


@pytest.fixture
def house(tmp_path: Path, store: Store) -> Iterator[House]:
    """A spool over the real store."""
    made = House(tmp_path / "spool", store)
    yield made
    made.spool.close()


def numbers(count: int) -> tuple[str, ...]:
    """Span ids."""
    return tuple(f"{n:04d}" for n in range(count))


def test_a_step_moves_segments_into_the_store(house: House) -> None:
    """What was acknowledged is stored once, its observations are posted, and spool and batches are empty."""
    house.acknowledge("1", "2", seen=True)
    house.acknowledge("3", days=1)
    writer = house.writer()
    assert writer.step() is True
    assert house.stored() == ["1", "2", "3"] and house.posted() == ["1", "2"]
    assert house.view_agrees()
    assert (house.spool.segments(), house.spool.bytes, house.leftovers()) == ([], 0, [])
    assert writer.step() is False and writer.state.name == "idle"


@pytest.mark.parametrize("side", ["before", "after"])
def test_an_insert_of_unknown_outcome_is_repeated_verbatim(house: House, side: str) -> None:
    """Whether a lost connection came before or after the insert happened: nothing is lost, doubled or posted anew."""
    faults = [StoreUnavailable(210, "gone"), None, StoreUnavailable(210, "gone")]
    getattr(house.faulty, side).extend(faults)
    house.acknowledge(*numbers(5), seen=True)
    writer = house.writer()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            writer.step()
    assert writer.step() is True
    assert house.stored() == list(numbers(5)) == house.posted()
    assert house.poster.asked == 1


def test_a_restarted_writer_replays_what_was_frozen(house: House) -> None:
    """A writer that finds a frozen batch, whatever of it was inserted, completes it without posting again."""
    house.acknowledge(*numbers(3), seen=True)
    house.faulty.after.append(StoreUnavailable(210, "gone"))
    with pytest.raises(StoreUnavailable):
        house.writer().step()
    house.acknowledge("later")
    assert house.writer().drain(30)
    assert house.stored() == [*numbers(3), "later"] and house.posted() == list(numbers(3))
    assert house.poster.asked == 1


def test_a_batch_marked_inserted_is_only_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When deleting failed half way, the same writer and the next one go on deleting and insert nothing again."""
    house.acknowledge("1")
    house.acknowledge("2")
    writer = house.writer()
    unlink, calls = Path.unlink, []

    def failing(path: Path, missing_ok: bool = False) -> None:
        calls.append(path)
        if len(calls) in (2, 3):
            raise OSError("Input/output error")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", failing)
    with pytest.raises(OSError, match="Input"):
        writer.step()
    with pytest.raises(OSError, match="Input"):
        writer.step()
    monkeypatch.undo()
    assert len(house.spool.segments()) == 1
    house.writer()
    assert (house.spool.segments(), house.leftovers()) == ([], [])
    assert house.stored() == ["1", "2"]


def test_a_full_disk_freezes_nothing_and_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the batch cannot be written the segments stay, no half batch does, and the next attempt stores them."""
    house.acknowledge("1", seen=True)
    writer = house.writer()
    monkeypatch.setattr("otel_exporter.freeze.write_rows", _no_space)
    with pytest.raises(OSError, match="No space"):
        writer.step()
    monkeypatch.undo()
    assert house.leftovers() == [] and len(house.spool.segments()) == 1
    writer.step()
    assert house.stored() == ["1"] == house.posted()


def _no_space(path: Path, rows: pl.DataFrame) -> None:
    path.write_bytes(b"half")
    raise OSError("No space left on device")


def test_poisonous_rows_become_dead_letters(house: House) -> None:
    """Rows ClickHouse refuses are kept with the error beside them; every other row of the file is stored once."""
    house.acknowledge(*numbers(20), days=3, seen=True, poison=("0007", "0012"))
    house.acknowledge("after")
    assert house.writer().drain(60)
    good = [span for span in numbers(20) if span not in ("0007", "0012")]
    assert house.stored() == [*good, "after"] and house.posted() == list(numbers(20))
    assert house.view_agrees()
    letters = house.spool.dead_letters.letters()
    assert sorted(pl.read_ipc(letter.path)["SpanId"].item() for letter in letters) == ["0007", "0012"]
    assert {(letter.explanation.table, letter.explanation.code) for letter in letters} == {("otel_traces", 190)}


def test_a_crash_while_bisecting_changes_nothing(house: House) -> None:
    """Restarted at any insert of a bisected file: still every good row once, every bad one a dead letter once."""
    house.acknowledge(*numbers(8), poison=("0005",))
    for survives in range(20):
        house.faulty.after = [*[None] * survives, StoreUnavailable(210, "gone")]
        try:
            house.writer().step()
        except StoreUnavailable:
            continue
        break
    assert 0 < survives < 20 and house.spool.segments() == []
    assert house.stored() == [span for span in numbers(8) if span != "0005"]
    assert len(house.spool.dead_letters.letters()) == 1


def test_dead_letters_can_be_offered_again(house: House) -> None:
    """Replayed rows pass through the spool once, also when the replay itself is repeated after a crash."""
    house.acknowledge("1", "2", poison=("2",))
    house.writer().drain(30)
    (letter,) = house.spool.dead_letters.letters()
    mended = uneven(
        pl.read_ipc(letter.path).with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("Events.Name")), []
    )
    mended.write_ipc(letter.path)
    saved = {path: path.read_bytes() for path in (letter.path, letter.beside)}
    assert house.spool.dead_letters.replay(house.offer) == 1
    for path, content in saved.items():
        path.write_bytes(content)
    assert house.spool.dead_letters.replay(house.offer) == 1
    assert house.spool.dead_letters.letters() == []
    house.writer().drain(30)
    assert house.stored() == ["1", "2"]


def test_too_many_poisonous_rows_stop_the_writer(house: House) -> None:
    """Bad code must not turn all data into dead letters: the writer stops, says why, and keeps the rest."""
    house.acknowledge(*numbers(20), poison=numbers(20))
    writer = house.writer(tolerance=Tolerance(rows=3, fraction=0.01))
    with pytest.raises(WriterStopped):
        writer.step()
    assert writer.state.name == "stopped" and "4 of 20 rows refused" in writer.state.reason
    assert len(house.spool.dead_letters.letters()) == 3
    assert house.stored() == [] and len(house.spool.segments()) == 1
    with pytest.raises(WriterStopped):
        writer.step()
    assert house.writer(tolerance=Tolerance(rows=50)).drain(60), "a restart with more tolerance goes on where it was"
    assert len(house.spool.dead_letters.letters()) == 20


def test_poison_in_every_batch_stops_the_writer_too(house: House) -> None:
    """One bad row at a time is counted over batches, until a batch without any shows that the code is sound."""
    writer = house.writer(tolerance=Tolerance(rows=2, fraction=0.01))
    for span, poison in [("1", True), ("2", True), ("3", False), ("4", True), ("5", True)]:
        house.acknowledge(span, poison=(span,) if poison else ())
        writer.step()
    house.acknowledge("6", poison=("6",))
    with pytest.raises(WriterStopped):
        writer.step()
    assert len(house.spool.dead_letters.letters()) == 4


def test_a_missing_table_is_not_the_rows_fault(house: House) -> None:
    """An error that blames no row stops the writer with its reason; once mended, a restart stores everything."""
    house.acknowledge("1", "2")
    house.store.command("RENAME TABLE otel.otel_traces TO otel.hidden")
    try:
        writer = house.writer()
        with pytest.raises(WriterStopped, match="UNKNOWN_TABLE"):
            writer.step()
        assert house.spool.dead_letters.letters() == []
    finally:
        house.store.command("RENAME TABLE otel.hidden TO otel.otel_traces")
    assert house.writer().drain(30)
    assert house.stored() == ["1", "2"]


def _with_view(house: House, select: str, act: Callable[[], None]) -> None:
    """Act while the view on otel_traces is another one."""
    house.store.command(f"DROP VIEW {VIEW}")
    house.store.command(f"CREATE MATERIALIZED VIEW {VIEW} TO otel.otel_traces_trace_id_ts AS {select}")
    try:
        act()
    finally:
        house.store.command(f"DROP VIEW {VIEW}")
        house.store.command(next(m.statement for m in runner.migrations() if m.name == "otel_traces_trace_id_ts_mv"))


def test_a_failure_that_wrote_something_is_never_bisected(house: House) -> None:
    """A view that fails leaves the rows in the base table: only the same token is safe, and it heals when mended."""
    broken = """SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM otel.otel_traces
        WHERE toInt32(SpanId) > 0 GROUP BY TraceId"""
    house.acknowledge("1", "2", "not a number", "3")
    writer = house.writer()

    def act() -> None:
        for _ in range(2):
            with pytest.raises(InDoubt, match="view"):
                writer.step()
        with pytest.raises(InDoubt):
            house.writer().step()

    _with_view(house, broken, act)
    assert len(house.stored()) == 4, "the base table was written, or this test proves nothing"
    assert not house.view_agrees()
    assert house.writer().drain(30)
    assert house.stored() == ["1", "2", "3", "not a number"]
    assert house.view_agrees()
    assert house.spool.dead_letters.letters() == []


def test_too_many_partitions_are_never_poison(house: House) -> None:
    """A block over more partitions than ClickHouse allows is cut until it passes; no row is a dead letter."""
    spans = numbers(25 * 12)
    rows = traces(spans, trace_id=house.trace, days=1)
    moved = pl.col("Timestamp") + pl.duration(days=pl.int_range(pl.len()))
    house.spool.append({"otel_traces": rows.with_columns(Timestamp=moved)}, "t", [])
    assert house.writer(bounds=Bounds(file_partitions=10_000)).drain(60)
    assert house.stored() == list(spans)
    assert house.spool.dead_letters.letters() == []


def test_a_history_of_many_days_is_few_files(house: House) -> None:
    """Rows of 300 days pass as files of at most 50 partitions, each under its own token."""
    spans = numbers(300)
    rows = traces(spans, trace_id=house.trace)
    moved = pl.col("Timestamp") + pl.duration(days=pl.int_range(pl.len()))
    house.spool.append({"otel_traces": rows.with_columns(Timestamp=moved)}, "t", [])
    tokens: list[str] = []
    insert = house.faulty.insert_file
    house.faulty.insert_file = lambda table, path, token: (tokens.append(token), insert(table, path, token))  # type: ignore[method-assign,assignment,func-returns-value]
    assert house.writer().drain(60)
    assert len(tokens) == 6 == len(set(tokens))
    assert house.stored() == list(spans) and house.view_agrees()


def test_the_thread_survives_outages_and_says_so(house: House) -> None:
    """While the store is away the state says `backing_off`; when it is back, everything is stored and it is idle."""
    house.faulty.before.extend([StoreUnavailable(210, "ClickHouse cannot be reached")] * 3)
    house.acknowledge("1")
    writer, stop, states = house.writer(), threading.Event(), set()
    writer._backoff = Backoff(first=0.2)
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    until = time.monotonic() + 20
    while house.stored() != ["1"] and time.monotonic() < until:
        states.add((writer.state.name, writer.state.reason))
    stop.set()
    thread.join(20)
    assert ("backing_off", "ClickHouse cannot be reached") in states
    assert house.stored() == ["1"] and writer.state.name == "idle"


def test_a_refused_look_up_is_tried_again_and_seen(house: House) -> None:
    """What ClickHouse will not answer before posting does not end the writer: not ready, counted, on when mended."""

    class Looking(Poster):
        def entries(self, tenant: str, seen: pl.DataFrame) -> dict[str, pl.DataFrame]:
            house.store.arrow("SELECT 1 FROM otel.looked_up")
            return super().entries(tenant, seen)

    def failures() -> float:
        return sum(each.value for each in Metric.LOOKUP_FAILURES.samples() if each.labels.get("kind") == "permanent")

    house.poster = Looking()
    house.acknowledge("1", seen=True)
    writer, stop, before = house.writer(), threading.Event(), failures()
    ready = Readiness(cast("Assembly", SimpleNamespace(writer=writer, prepared=SimpleNamespace(is_done=True))))
    ready.listening = True
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    try:
        _until(lambda: failures() >= before + 2)
        assert writer.state.name == "backing_off" and "UNKNOWN_TABLE" in writer.state.reason
        assert ready() == (False, [f"writer backing_off: {writer.state.reason}"])
        assert len(house.spool.segments()) == 1 and house.stored() == []
        house.store.command("CREATE TABLE otel.looked_up (a UInt8) ENGINE = Memory")
        _until(lambda: ready()[0] and house.posted() == ["1"])
    finally:
        stop.set()
        thread.join(60)
        house.store.command("DROP TABLE IF EXISTS otel.looked_up")
    assert house.stored() == ["1"]


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_draining_gives_up_in_time(house: House) -> None:
    """A drain against a store that stays away ends when its seconds are over, and loses nothing."""
    house.faulty.before.extend([StoreUnavailable(210, "gone")] * 100)
    house.acknowledge("1")
    started = time.monotonic()
    assert house.writer().drain(0.5) is False
    assert time.monotonic() - started < 2
    assert len(house.spool.segments()) == 1


def test_an_unexpected_exception_stops_without_quoting_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in posting stops the writer; its state names the place and never repeats the exception's text."""

    def bug(tenant: str, seen: pl.DataFrame) -> dict[str, pl.DataFrame]:
        raise KeyError("a secret prompt")

    house.acknowledge("1", seen=True)
    monkeypatch.setattr(house.poster, "entries", bug)
    writer = house.writer()
    assert writer.drain(5) is False
    assert writer.state.name == "stopped" and "KeyError at test_writer.py" in writer.state.reason
    assert "secret" not in writer.state.reason
    assert len(house.spool.segments()) == 1


def test_waits_grow_to_a_bound() -> None:
    """Waits double up to the most, with jitter, and begin anew after a success."""
    backoff = Backoff(first=1, most=8)
    waits = [backoff.wait() for _ in range(50)]
    assert all(low / 2 <= wait <= low for wait, low in zip(waits, [1, 2, 4, *[8] * 47], strict=True))
    assert len(set(waits)) > 40
    backoff.reset()
    assert backoff.wait() <= 1
