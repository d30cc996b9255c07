"""Freezing: the oldest segments become files that one insert block each can take, and are computed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_exporter import freeze
from otel_exporter.freeze import Bounds, Freezer, FrozenBatch
from otel_exporter.spool import Spool
from tests.crash.spans import entries, observations, traces


class Recorder:
    """A poster that remembers what it was asked, and posts one entry per observation."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def entries(self, tenant: str, seen: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """One ledger entry per observation."""
        self.asked.append((tenant, seen["observation_id"].to_list()))
        return {"genai_ledger": entries(seen)}


class Bench:
    """A spool, a freezer on it, and the poster it asks."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self.spool = Spool(path, 1 << 30)
        self.poster = Recorder()
        self.batches = path / "batches"
        self.batches.mkdir(exist_ok=True)
        self.freezer = Freezer(self.spool, self.batches, self.poster, lambda: {"otel_traces": 7}, bounds)

    def rows(self, batch: FrozenBatch, table: str) -> list[dict[str, object]]:
        """What the batch's files of a table hold, in order."""
        files = [pl.read_ipc(batch.path(insert)) for insert in batch.inserts if insert.table == table]
        return pl.concat(files).to_dicts() if files else []


@contextmanager
def bench(path: Path, **bounds: int) -> Iterator[Bench]:
    """A bench whose spool is given back."""
    made = Bench(path, Bounds(**bounds))
    try:
        yield made
    finally:
        made.spool.close()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 120),
    days=st.integers(1, 40),
    most=st.builds(Bounds, file_rows=st.integers(1, 50), file_partitions=st.integers(1, 10)),
)
def test_blocks_are_bounded_and_complete(rows: int, days: int, most: Bounds) -> None:
    """Whatever the rows and bounds: each block keeps within them, every row is in one block, partitions keep order."""
    frame = traces([str(n) for n in range(rows)], days=days)
    blocks = list(freeze.blocks("otel_traces", frame, most))
    assert all(0 < block.height <= most.file_rows for block in blocks)
    assert all(block["Timestamp"].dt.date().n_unique() <= most.file_partitions for block in blocks)
    joined = pl.concat(blocks)
    assert sorted(joined["SpanId"]) == sorted(frame["SpanId"])
    for _, partition in joined.group_by("Timestamp"):
        assert partition["SpanId"].cast(pl.Int64).is_sorted()


def test_blocks_are_bounded_in_bytes() -> None:
    """A frame of many bytes is cut although its rows are few."""
    frame = traces(["x" * 1_000 for _ in range(100)])
    blocks = list(freeze.blocks("otel_traces", frame, Bounds(file_bytes=20_000)))
    assert len(blocks) >= 5
    assert all(block.estimated_size() < 40_000 for block in blocks)


def test_ledger_partitions_are_months() -> None:
    """The ledger's rows of sixty days are three months at most: no file is split for its days."""
    seen = observations([str(n) for n in range(60)])
    rows = entries(seen).with_columns(pl.col("started_at") - pl.duration(days=pl.int_range(60)))
    assert len(list(freeze.blocks("genai_ledger", rows, Bounds(file_partitions=3)))) == 1


def test_the_poster_is_asked_once_per_tenant(tmp_path: Path) -> None:
    """All observations of a tenant reach the poster in one call, in order, and its rows are files of the batch."""
    with bench(tmp_path) as made:
        for tenant, span in [("a", "1"), ("b", "2"), ("a", "3")]:
            made.spool.append({"otel_traces": traces([span]), "observations": observations([span])}, tenant, [])
        batch = made.freezer.freeze()
        assert batch is not None
        assert sorted(made.poster.asked) == [("a", ["1", "3"]), ("b", ["2"])]
        assert [row["SpanId"] for row in made.rows(batch, "otel_traces")] == ["1", "2", "3"]
        assert sorted(row["call_key"] for row in made.rows(batch, "genai_ledger")) == ["1", "2", "3"]
        assert {insert.table for insert in batch.inserts} == {"otel_traces", "genai_ledger"}


def test_tokens_are_unique_and_marks_are_taken_for_first_files_only(tmp_path: Path) -> None:
    """No token is ever shared, and a second file of a table must take its marks after the first was written."""
    with bench(tmp_path, file_partitions=2) as made:
        made.spool.append({"otel_traces": traces(list("abcdef"), days=6)}, "t", [])
        first = made.freezer.freeze()
        second = made.freezer.freeze()
        assert first is not None and second is not None
        tokens = [insert.token for batch in (first, second) for insert in batch.inserts]
        assert len(tokens) == 6 == len(set(tokens))
        assert [insert.marks for insert in first.inserts] == [{"otel_traces": 7}, None, None]


def test_a_frozen_batch_is_read_back_as_it_was(tmp_path: Path) -> None:
    """The manifest says everything there is to know of a batch, after `halve` too."""
    with bench(tmp_path) as made:
        made.spool.append({"otel_traces": traces(list("abc")), "observations": observations(["o"])}, "t", [])
        batch = made.freezer.freeze()
        assert batch is not None and freeze.load(batch.directory) == batch
        halved = freeze.halve(batch, batch.inserts[0])
        assert freeze.load(batch.directory) == halved
        assert [row["SpanId"] for row in made.rows(halved, "otel_traces")] == list("abc")
        assert [insert.token for insert in halved.inserts] == [
            f"{batch.id}/otel_traces/0/0",
            f"{batch.id}/otel_traces/0/1",
            f"{batch.id}/genai_ledger/0",
        ]


def test_a_batch_takes_the_oldest_segments_up_to_its_bounds(tmp_path: Path) -> None:
    """A batch ends before the segment that would exceed the bounds, and takes one segment however large it is."""
    with bench(tmp_path, batch_rows=5) as made:
        ids = [made.spool.append({"otel_traces": traces(["x"] * rows)}, "t", []) for rows in (3, 2, 9, 1)]
        taken = []
        while (batch := made.freezer.freeze()) is not None:
            taken.append(list(batch.segments))
            made.spool.remove(batch.segments)
        assert taken == [ids[:2], ids[2:3], ids[3:]]


def test_segments_of_another_version_are_a_batch_of_their_own(tmp_path: Path) -> None:
    """After an upgrade the spool may hold segments with fewer columns: they are never joined with others."""
    with bench(tmp_path) as made:
        old = made.spool.append({"otel_traces": traces(["old"]).drop("ScopeName")}, "t", [])
        made.spool.append({"otel_traces": traces(["new"])}, "t", [])
        batch = made.freezer.freeze()
        assert batch is not None and batch.segments == (old,)


def test_rows_that_fit_no_table_are_a_fault_of_ours(tmp_path: Path) -> None:
    """ClickHouse would silently ignore a column it does not know, so freezing refuses it, and leaves nothing behind."""
    with bench(tmp_path) as made:
        made.spool.append({"otel_traces": traces(["x"]).with_columns(Unheard=pl.lit(1))}, "t", [])
        with pytest.raises(ValueError, match="Unheard"):
            made.freezer.freeze()
        assert list(made.batches.iterdir()) == []
        assert len(made.spool.segments()) == 1


def test_a_corrupt_segment_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """The batch is frozen without it; it is a dead letter and not a segment of the batch."""
    with bench(tmp_path) as made:
        made.spool.append({"otel_traces": traces(["bad"])}, "t", [])
        good = made.spool.append({"otel_traces": traces(["good"])}, "t", [])
    damaged = min((tmp_path / "segments").iterdir())
    with bench(tmp_path) as made:
        damaged.write_bytes(damaged.read_bytes().replace(b"ARROW1", b"ARROW2"))
        batch = made.freezer.freeze()
        assert batch is not None and batch.segments == (good,)
        assert [row["SpanId"] for row in made.rows(batch, "otel_traces")] == ["good"]
        assert len(made.spool.dead_letters.letters()) == 1
