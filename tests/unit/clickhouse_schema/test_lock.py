"""One owner of a data directory, and a sentence for everybody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clickhouse_schema.errors import StoreLocked
from clickhouse_schema.lock import DirectoryLock
from clickhouse_schema.store import Store

_OPEN = "import sys, pathlib, clickhouse_schema.store as s; s.Store.embedded(pathlib.Path(sys.argv[1]))"
_HOLD = (
    "import sys, pathlib, clickhouse_schema.lock as l; l.DirectoryLock(pathlib.Path(sys.argv[1])); input(print('held'))"
)


def test_a_second_process_is_told_who_has_it(tmp_path: Path) -> None:
    """The sentence names the directory and the owner, before ClickHouse would fail without a reason."""
    lock = DirectoryLock(tmp_path)
    second = subprocess.run([sys.executable, "-c", _OPEN, tmp_path], capture_output=True, text=True, check=False)
    lock.release()
    assert second.returncode == 1
    assert "StoreLocked" in second.stderr
    assert str(tmp_path) in second.stderr.splitlines()[-1]


def test_a_killed_owner_leaves_no_lock_behind(tmp_path: Path) -> None:
    """kill -9 must not need a cleaning hand."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as owner:
        assert owner.stdout
        owner.stdout.readline()
        with pytest.raises(StoreLocked, match=str(owner.pid)):
            DirectoryLock(tmp_path)
        owner.kill()
    DirectoryLock(tmp_path).release()


def test_the_same_process_is_told_so(tmp_path: Path) -> None:
    """A store is shared, not opened twice."""
    lock = DirectoryLock(tmp_path)
    with pytest.raises(StoreLocked, match="this process"):
        DirectoryLock(tmp_path)
    lock.release()
    lock.release()


def test_a_question_mark_is_refused(tmp_path: Path) -> None:
    """The engine would read what follows as options and use a directory that nobody locked."""
    with pytest.raises(ValueError, match="question mark"):
        Store.embedded(tmp_path / "why?")
    assert list(tmp_path.iterdir()) == []


def test_another_directory_in_the_same_process_is_told_so(opened: Store, tmp_path: Path) -> None:
    """The embedded engine has one directory per process; its own message does not say what to do."""
    assert opened.is_embedded
    with pytest.raises(StoreLocked, match="another data directory"):
        Store.embedded(tmp_path)
    DirectoryLock(tmp_path).release()
