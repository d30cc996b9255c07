"""Preparation: what a store needs once, and waits for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from clickhouse_schema.errors import StoreRejected, StoreUnavailable
from clickhouse_schema.runner import MigrationRefused
from otel_exporter.preparation import Preparation
from otel_exporter.spool import Spool
from otel_exporter.writer import Writer, WriterStopped

AWAY = StoreUnavailable(0, "away")


def failing(*failures: Exception | None) -> Preparation:
    """A preparation whose attempts end so."""
    left = list(failures)

    def prepare() -> None:
        failure = left.pop(0)
        if failure is not None:
            raise failure

    return Preparation(prepare)


def test_it_is_done_once_and_then_told() -> None:
    """It is tried until it succeeds, never again afterwards, and who waits for it acts once."""
    told: list[str] = []
    prepared = failing(AWAY, AWAY, None)
    prepared.then(lambda: told.append("early"))
    prepared.begin()
    with pytest.raises(StoreUnavailable):
        prepared()
    assert not prepared.is_done and told == []
    prepared()
    prepared()
    prepared.then(lambda: told.append("late"))
    assert prepared.is_done and told == ["early", "late"]


@pytest.mark.parametrize("failure", [StoreRejected(62, "refused"), MigrationRefused("newer")])
def test_what_waiting_does_not_help_ends_the_start(failure: Exception) -> None:
    """A ClickHouse that answers and refuses is no reason to wait."""
    with pytest.raises(type(failure)):
        failing(failure).begin()


def test_a_clickhouse_that_hangs_does_not_hold_up_the_start() -> None:
    """The start goes on after its patience; when the answer comes, it counts."""
    answers = threading.Event()
    prepared = Preparation(lambda: cast("None", answers.wait(60)))
    done = threading.Event()
    prepared.begin(0.05)
    prepared.then(done.set)
    assert not prepared.is_done
    answers.set()
    assert done.wait(60) and prepared.is_done


def test_a_newer_database_stops_the_writer(tmp_path: Path) -> None:
    """Found out late, it is the sentence that the start would have ended with; nothing is written."""
    spool = Spool(tmp_path, 1 << 20)
    nothing: Any = None
    writer = Writer(spool, nothing, nothing, prepare=failing(AWAY, MigrationRefused("upgrade first")))
    with pytest.raises(StoreUnavailable):
        writer.step()
    with pytest.raises(WriterStopped, match="upgrade first"):
        writer.step()
    assert (writer.state.name, writer.state.reason) == ("stopped", "upgrade first")
    spool.close()
