"""The spool: what is acknowledged stays, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse_schema.errors import StoreLocked
from otel_exporter import durable, spool
from otel_exporter.failures import Reason, RetryLater
from otel_exporter.spool import Spool, survey
from tests.crash.spans import observations, traces

TINY = pl.DataFrame({"n": [1, 2, 3]})
texts = st.lists(st.text(max_size=20), max_size=20)
frames = st.builds(lambda ids, days: traces(ids, days=days), texts, st.integers(1, 5))
anything = st.dictionaries(st.sampled_from(["otel_traces", "otel_logs", "observations"]), frames, max_size=3)


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now


@contextmanager
def opened(path: Path, max_bytes: int = 1 << 30, **options: object) -> Iterator[Spool]:
    """A spool that another one may own afterwards."""
    options.setdefault("steady", options.get("clock"))
    owned = Spool(path, max_bytes, **options)  # type: ignore[arg-type]
    try:
        yield owned
    finally:
        owned.close()


def contents(owned: Spool) -> list[tuple[str, dict[str, list[dict[str, object]]]]]:
    """Tenant and rows of every segment, oldest first, as read back."""
    found = []
    for segment in owned.segments():
        tables = owned.read(segment)
        assert tables is not None
        found.append((segment.tenant, {name: frame.to_dicts() for name, frame in tables.items()}))
    return found


def names(path: Path) -> list[str]:
    """Everything in the segment directory, hidden or not."""
    return sorted(entry.name for entry in (path / "segments").iterdir())


@settings(max_examples=30, deadline=None)
@given(commits=st.lists(st.tuples(st.sampled_from("ab"), anything), max_size=4), cache=st.sampled_from([0, 1 << 30]))
def test_what_is_appended_is_read_back(commits: list, cache: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every table with rows comes back equal and in order, from this process and from the next one."""
    path = tmp_path_factory.mktemp("spool")
    expected = [
        (tenant, {name: frame.to_dicts() for name, frame in tables.items() if frame.height})
        for tenant, tables in commits
        if any(frame.height for frame in tables.values())
    ]
    with opened(path, cache_bytes=cache) as first:
        for tenant, tables in commits:
            first.append(tables, tenant, [])
        assert contents(first) == expected
    with opened(path) as second:
        assert contents(second) == expected
        assert second.bytes == first.bytes
    assert [segment.tenant for segment in survey(path)] == [tenant for tenant, _ in expected]


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_changed_bytes_never_become_other_rows(
    where: float, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bit flips, wherever the file is cut: it reads as it was, or it is a dead letter; the others live."""
    path = tmp_path_factory.mktemp("spool")
    with opened(path) as first:
        damaged = first.append({"otel_traces": traces(["x"])}, "t", [])
        first.append({"otel_traces": traces(["y"])}, "t", [])
        before = contents(first)
    file = path / "segments" / f"{damaged}.segment"
    content = bytearray(file.read_bytes())
    at = int(where * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    file.write_bytes(content)
    with opened(path) as second:
        letters = second.dead_letters.letters()
        if letters:
            assert contents(second) == before[1:]
            assert "corrupt segment" in letters[0].explanation.error
            assert letters[0].path.read_bytes() == content
        else:
            assert contents(second) == before


def test_bytes_that_change_after_the_start_are_noticed_when_read(tmp_path: Path) -> None:
    """A segment that goes bad while the service runs becomes a dead letter, not an exception or wrong rows."""
    with opened(tmp_path, cache_bytes=0) as owned:
        owned.append({"t": TINY}, "t", [])
        (segment,) = owned.segments()
        file = tmp_path / "segments" / names(tmp_path)[0]
        file.write_bytes(file.read_bytes().replace(b"ARROW1", b"ARROW2"))
        assert owned.read(segment) is None
        assert owned.segments() == [] and owned.bytes == 0
        assert len(owned.dead_letters.letters()) == 1


def test_a_commit_cut_by_a_crash_is_swept(tmp_path: Path) -> None:
    """What a crash leaves under a temporary name was never acknowledged: it is gone and never read."""
    with opened(tmp_path) as first:
        first.append({"t": TINY}, "t", [])
    (tmp_path / "segments" / f"{durable.TEMPORARY}0001.segment").write_bytes(b"TIDESEG1 half")
    with opened(tmp_path) as second:
        assert len(second.segments()) == 1
        assert len(names(tmp_path)) == 1


def test_nothing_to_store_costs_nothing(tmp_path: Path) -> None:
    """A request without rows is acknowledged without touching the disk."""
    with opened(tmp_path) as owned:
        assert owned.append({"t": TINY.clear()}, "t", [b"digest"]) is None
        assert names(tmp_path) == []


def test_a_full_spool_asks_to_retry_and_recovers(tmp_path: Path) -> None:
    """Over the bound nothing is stored or left behind; when segments leave, there is room again."""
    with opened(tmp_path, max_bytes=3_000) as owned:
        accepted = []
        with pytest.raises(RetryLater) as full:
            while True:
                accepted.append(owned.append({"t": TINY}, "t", []))
        assert full.value.reason is Reason.SPOOL_FULL
        assert accepted and len(names(tmp_path)) == len(accepted)
        assert owned.bytes <= 3_000
        owned.remove(accepted)
        assert owned.bytes == 0 and names(tmp_path) == []
        owned.append({"t": TINY}, "t", [])


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond ``size``, as it does when the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with structlog.testing.capture_logs():  # pytest captures into a file, which is refused as well
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_refuses_to_write_leaves_no_residue(tmp_path: Path) -> None:
    """When the kernel refuses the bytes, the sender is asked to retry and nothing is visible now or later."""
    with opened(tmp_path) as owned:
        with files_no_longer_than(2_000), pytest.raises(RetryLater) as refused:
            owned.append({"otel_traces": traces([str(n) for n in range(1_000)])}, "t", [b"digest"])
        assert refused.value.reason is Reason.SPOOL_FULL
        assert names(tmp_path) == [] and owned.bytes == 0
        assert not owned.seen("t", b"digest")
        owned.append({"t": TINY}, "t", [b"digest"])
        assert owned.seen("t", b"digest")


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failing_fsync_is_no_acknowledgement(failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever fsync of a commit fails (file, directory), the commit fails and leaves nothing half visible."""
    calls = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    with opened(tmp_path) as owned:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(RetryLater):
            owned.append({"t": TINY}, "t", [b"digest"])
        monkeypatch.undo()
        assert (owned.segments(), owned.bytes, names(tmp_path)) == ([], 0, [])
        assert not owned.seen("t", b"digest")


def test_a_commit_is_two_fsyncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request waits for the fsyncs, so there are no more than the recipe needs: file and directory."""
    calls = []
    real = os.fsync
    with opened(tmp_path) as owned:
        monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append(descriptor), real(descriptor)))
        owned.append({"otel_traces": traces(["a"]), "observations": observations(["a"])}, "t", [b"digest"])
        monkeypatch.undo()
    assert len(calls) == 2


def test_resends_are_recognised_for_the_window(tmp_path: Path) -> None:
    """A digest is known for the window, for its tenant only, after deletion, and over restarts."""
    clock = Clock()
    with opened(tmp_path, digest_window_seconds=600, clock=clock) as first:
        kept = first.append({"t": TINY}, "a", [b"kept"])
        gone = first.append({"t": TINY}, "a", [b"gone"])
        assert kept and gone
        first.remove([gone])
        assert first.seen("a", b"kept") and first.seen("a", b"gone")
        assert not first.seen("b", b"kept") and not first.seen("a", b"other")
    clock.now += 599
    with opened(tmp_path, digest_window_seconds=600, clock=clock) as second:
        assert second.seen("a", b"kept") and second.seen("a", b"gone")
        clock.now += 2
        assert not second.seen("a", b"kept") and not second.seen("a", b"gone")


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_jump_of_the_clock_does_not_move_the_window(tmp_path: Path, jump: int) -> None:
    """A resend is recognised for ten minutes that passed, whatever the clock says meanwhile, and not for longer."""
    clock, passed = Clock(), Clock()
    with opened(tmp_path, clock=clock, steady=passed) as owned:
        before = owned.append({"t": TINY}, "a", [b"before"])
        clock.now += jump
        assert owned.seen("a", b"before")
        after = owned.append({"t": TINY}, "a", [b"after"])
        owned.remove([before, after])
        passed.now += 599
        assert owned.seen("a", b"before") and owned.seen("a", b"after")
        passed.now += 2
        assert not owned.seen("a", b"before") and not owned.seen("a", b"after")


def test_a_cut_digest_journal_is_mended(tmp_path: Path) -> None:
    """A record cut by a crash is dropped, those before and after it are not."""
    with opened(tmp_path) as first:
        first.remove([first.append({"t": TINY}, "a", [b"before"])])
    journal = tmp_path / "digests.journal"
    journal.write_bytes(journal.read_bytes() + b"cut")
    with opened(tmp_path) as second:
        second.remove([second.append({"t": TINY}, "a", [b"after"])])
    with opened(tmp_path) as third:
        assert third.seen("a", b"before") and third.seen("a", b"after")


def test_digests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither memory nor the journal grows with the number of requests: the oldest digests are forgotten."""
    monkeypatch.setattr(spool, "DIGEST_LIMIT", 10)
    with opened(tmp_path) as owned:
        for n in range(500):
            digests = [b"%d/%d" % (n, k) for k in range(20)]
            owned.remove([owned.append({"t": TINY}, "a", digests)])
        assert owned.seen("a", b"499/19") and not owned.seen("a", b"499/0")
        assert (tmp_path / "digests.journal").stat().st_size < 24 * 2_100


def test_a_full_disk_does_not_stop_deleting(tmp_path: Path) -> None:
    """Deleting segments is what makes room, so a journal that cannot be written must not prevent it."""
    with opened(tmp_path) as owned:
        stored = owned.append({"t": TINY}, "a", [b"digest"])
        with files_no_longer_than(0):
            owned.remove([stored])
        assert owned.segments() == [] and owned.seen("a", b"digest")
        owned.remove([owned.append({"t": TINY}, "a", [b"next"])])
    with opened(tmp_path) as second:
        assert second.seen("a", b"digest") and second.seen("a", b"next")


def test_ids_sort_by_age_when_the_clock_steps_back(tmp_path: Path) -> None:
    """The oldest segment comes first although the clock says otherwise, also over a restart."""
    clock = Clock()
    with opened(tmp_path, clock=clock) as first:
        ids = [first.append({"t": TINY}, "t", [])]
        clock.now -= 3600
        ids.append(first.append({"t": TINY}, "t", []))
    with opened(tmp_path, clock=clock) as second:
        ids.append(second.append({"t": TINY}, "t", []))
        assert [segment.id for segment in second.segments()] == ids


def test_one_process_owns_a_spool(tmp_path: Path) -> None:
    """A second owner is turned away; when the first lets go, it is not."""
    with opened(tmp_path), pytest.raises(StoreLocked), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


def test_many_threads_append_while_one_removes(tmp_path: Path) -> None:
    """No commit is lost or double between appending threads and the removing writer; the bytes add up."""
    with opened(tmp_path) as owned:
        mine = [[f"{thread}/{n}" for n in range(25)] for thread in range(4)]
        threads = [
            threading.Thread(target=lambda ids=ids: [owned.append({"t": traces([i])}, "t", []) for i in ids])
            for ids in mine
        ]
        for thread in threads:
            thread.start()
        taken: list[str] = []
        while any(thread.is_alive() for thread in threads) or owned.segments():
            found = owned.segments()
            taken += [span for segment in found for span in (owned.read(segment) or {})["t"]["SpanId"]]
            owned.remove([segment.id for segment in found])
        assert sorted(taken) == sorted(span for ids in mine for span in ids)
        assert owned.bytes == 0
