"""kill -9 between a batch's tables, and inside the ledger's views: messages are there once, rollups add up to it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otel_exporter.failpoints import VARIABLE
from tests.corpus.cases import DATA
from tests.crash.processes import ROOT

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(900)]
FILES = sorted(DATA.glob("otel-openai-v2/*.traces.pb")) + sorted(DATA.glob("openinference-openai/*.traces.pb"))
SEED = 20261123


@dataclass(frozen=True)
class Life:
    """How one process ended, and what it said."""

    status: int
    said: list[str]

    @property
    def stored(self) -> dict[str, Any]:
        """What it found in the store at its end."""
        assert self.status == 0, self.said
        found: dict[str, Any] = json.loads(self.said[-1])
        return found


def live(
    directory: Path, *files: Path, failpoint: str = "", pause: float = 0, killed_after: float | None = None
) -> Life:
    """One process over the directory; ``killed_after`` seconds after what it was given is durable."""
    command = [sys.executable, "-m", "tests.crash.keeper", str(directory), str(pause), *map(str, FILES)]
    environment = {**os.environ, VARIABLE: failpoint}
    said: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        killers = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("committed") and killed_after is not None:
                killers.append(threading.Timer(killed_after, process.kill))
                killers[-1].start()
        for killer in killers:
            killer.join()
    return Life(process.returncode, said)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process stores that nobody kills."""
    stored = live(tmp_path_factory.mktemp("whole") / "data").stored
    assert int(stored["messages"][0]) > 5 and int(stored["ledger"][0]) > 5
    return stored


def right(stored: dict[str, Any], whole: dict[str, Any]) -> None:
    """Messages and spans once; each rollup adds up to the ledger, by its own law and in plain sums."""
    assert stored["spans"][0] == stored["spans"][1]
    assert stored["messages"][0] == stored["messages"][1]
    assert stored["wrong"] == []
    for name, sums in stored["rollups"].items():
        assert sums == stored["ledger"] or "end_user" in name, name
    assert stored == whole


def test_killed_between_any_two_tables(tmp_path: Path, whole: dict[str, Any]) -> None:
    """Killed after each file of the batch in turn (spans first), the next life completes what is missing, once."""
    deaths = 0
    for number in range(1, 20):
        home = tmp_path / str(number)
        life = live(home, failpoint=f"between-tables:{number}")
        if life.status == 0:
            break
        assert life.status == -signal.SIGKILL
        deaths += 1
        # The client, who got no answer, sends everything again.
        right(live(home).stored, whole)
    assert deaths >= 3, "spans, messages and entries are three files"


def test_killed_inside_the_ledger_s_views(tmp_path: Path, whole: dict[str, Any]) -> None:
    """Killed again and again while views read what was just posted: targets are completed, nothing is added twice."""
    rng = random.Random(SEED)
    home = tmp_path / "data"
    lives = [live(home, pause=0.05, killed_after=rng.uniform(0.05, 0.9)) for _ in range(8)]
    assert [life.status for life in lives].count(-signal.SIGKILL) >= 2, "nothing was killed, so nothing was proved"
    last = live(home, pause=0.05)
    assert any("ready torn" in life.said for life in [*lives, last]), "no kill landed between the ledger and its views"
    right(last.stored, whole)
