"""The run file and its lock."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otel_exporter import runfile
from otel_exporter.failures import RetryLater

HOLDER = """
import sys, time
from pathlib import Path
from otel_exporter import runfile
with runfile.claim(Path(sys.argv[1])) as claim:
    claim.publish({"health": "127.0.0.1:1"})
    print("serving", flush=True)
    time.sleep(60)
"""


def test_nobody_serves(tmp_path: Path) -> None:
    """An unknown, an empty and an abandoned directory have no live serve."""
    assert runfile.find(tmp_path / "none") is None
    assert runfile.find(tmp_path) is None
    with runfile.claim(tmp_path) as claim:
        claim.publish({})
    assert runfile.find(tmp_path) is None and not (tmp_path / "serve.json").exists()


def test_a_live_serve_is_found(tmp_path: Path) -> None:
    """While a serve lives, its process, addresses and token are found; only its owner can read them."""
    with runfile.claim(tmp_path / "new") as claim:
        published = claim.publish({"health": "127.0.0.1:9464"})
        assert runfile.find(tmp_path / "new") == published
        assert published.pid == os.getpid() and len(published.token) >= 32
        assert published.token not in repr(published)
        assert stat.S_IMODE((tmp_path / "new" / "serve.json").stat().st_mode) == 0o600


def test_only_one_serve(tmp_path: Path) -> None:
    """A second serve on the directory is refused, naming the first one's process."""
    with runfile.claim(tmp_path) as claim:
        claim.publish({})
        with pytest.raises(runfile.AlreadyServing, match=str(os.getpid())), runfile.claim(tmp_path):
            pass
        assert runfile.find(tmp_path) is not None


def test_a_killed_serve_leaves_no_trace(tmp_path: Path) -> None:
    """After kill -9 the run file is still there and nobody believes it; the next serve takes over."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None and process.stdout.readline() == b"serving\n"
        found = runfile.find(tmp_path)
        assert found is not None and found.pid == process.pid
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "serve.json").exists()
    assert runfile.find(tmp_path) is None
    with runfile.claim(tmp_path):
        assert not (tmp_path / "serve.json").exists()


def test_a_starting_serve_is_waited_for(tmp_path: Path) -> None:
    """A command that comes between the lock and the addresses waits for them, and gives up with a sentence."""
    with runfile.claim(tmp_path) as claim:
        with pytest.raises(RetryLater, match="does not answer yet"):
            runfile.find(tmp_path, patience=0)
        timer = threading.Timer(0.1, claim.publish, [{"http": "x"}])
        timer.start()
        found = runfile.find(tmp_path)
        timer.join()
    assert found is not None and found.addresses == {"http": "x"}


def test_looking_does_not_turn_a_serve_away(tmp_path: Path) -> None:
    """However often commands look whether the directory is served, a serve that starts meanwhile gets it."""
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            runfile.is_served(tmp_path)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(50):
            with runfile.claim(tmp_path):
                pass
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()


def test_a_damaged_run_file_is_no_answer(tmp_path: Path) -> None:
    """A run file that is not what we wrote counts as not written yet."""
    with runfile.claim(tmp_path):
        (tmp_path / "serve.json").write_text('{"pid": 1, "extra": 2}')
        with pytest.raises(RetryLater):
            runfile.find(tmp_path, patience=0)
