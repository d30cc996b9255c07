"""Receivers that post to one ledger at the same time: each looks again, every call stands once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.poster import LedgerPoster
from otel_exporter.second_look import SecondLook
from tests.unit.otel_exporter.test_reconcile import NOW, SIGNED, SUMS
from tests.unit.processors.test_post import free
from tests.unit.processors.worlds import Call, frame, observations_of, worlds

NUMBER = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.embedded(tmp_path_factory.mktemp("shared") / "data") as opened:
        runner.apply(opened)
        yield opened


class Receiver:
    """A writer in small steps: look up and compute, insert, look again, insert what mends ..."""

    def __init__(self, store: Store, directory: Path, tenant: str) -> None:
        self._store, self._file, self._tenant = store, directory / "entries.arrow", tenant
        self._seconds = 0.0
        self._look = SecondLook(store, free, clock=self._tick)
        self._poster = LedgerPoster(store, free, now=lambda: NOW, second_look=self._look)
        self.waiting: list[list[dict[str, object]]] = []
        self._computed: pl.DataFrame | None = None
        self.mended = 0

    def _tick(self) -> float:
        self._seconds += 100.0
        return self._seconds

    def step(self) -> bool:
        """One step; False when there is nothing left to do."""
        if self._computed is not None:
            self._computed.write_ipc(self._file)
            self._store.insert_file("genai_ledger", self._file, f"look-{next(NUMBER)}")
            self._computed = None
            return True
        mend = self._look()
        if mend:
            self._computed = mend["genai_ledger"]
            self.mended += 1
            return True
        if not self.waiting:
            return False
        self._computed = self._poster.entries(self._tenant, frame(self.waiting.pop(0))).get("genai_ledger")
        return True

    def finish(self) -> None:
        """Everything; what is under way first."""
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("it never ends")


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(max_calls=4), st.data())
def test_however_receivers_race_every_call_stands_once(
    store: Store, tmp_path_factory: pytest.TempPathFactory, calls: list[Call], data: st.DataObject
) -> None:
    """Three receivers take turns at any moment between look-up, insert and second look; the sums are exact."""
    tenant, folder = f"s{next(NUMBER)}", tmp_path_factory.mktemp("files")
    receivers = [Receiver(store, folder, tenant) for _ in range(3)]
    rows = [row | {"tenant": tenant} for row in observations_of(calls)]
    for row in [*rows, *rows[: data.draw(st.integers(0, len(rows)))]]:
        data.draw(st.sampled_from(receivers)).waiting.append([row])
    for turn in data.draw(st.lists(st.sampled_from(range(3)), max_size=60)):
        receivers[turn].step()
    for _ in range(3):  # one mends what the other left; afterwards nobody finds anything
        for receiver in receivers:
            receiver.finish()
    before = [receiver.mended for receiver in receivers]
    ok = [call.tokens for call in calls if not call.failed]
    truth = (len(calls), sum(tokens[0] for tokens in ok), sum(tokens[1] for tokens in ok))
    assert tuple(value or 0 for value in store.arrow(SUMS, {"tenant": tenant}).row(0)) == truth
    signed = store.arrow(SIGNED, {"t": tenant}).row(0)
    assert (signed[0], signed[1] or 0) == truth[:2]
    for receiver in receivers:
        receiver.finish()
    assert [receiver.mended for receiver in receivers] == before


def test_alone_nothing_is_mended(store: Store, tmp_path: Path) -> None:
    """Without another receiver the second look finds what the batch left, and posts nothing."""
    tenant = f"s{next(NUMBER)}"
    receiver = Receiver(store, tmp_path, tenant)
    calls = [Call(number, 0, number, (25, 12), False, None, frozenset({"client", "gateway"})) for number in range(3)]
    receiver.waiting = [[row | {"tenant": tenant}] for row in observations_of(calls)]
    receiver.finish()
    assert receiver.mended == 0
    assert store.arrow(SUMS, {"tenant": tenant}).row(0) == (3, 75, 36)


def test_two_that_mend_the_same_do_not_meet_for_ever(store: Store, tmp_path: Path) -> None:
    """Both see the race and both post the repair: the next looks find that, and it ends."""
    tenant = f"s{next(NUMBER)}"
    one, other = Receiver(store, tmp_path, tenant), Receiver(store, tmp_path, tenant)
    row = observations_of([Call(1, 0, 0, (25, 12), False, None, frozenset({"client"}))])[0] | {"tenant": tenant}
    for receiver in (one, other):
        receiver.waiting = [[row]]
    for _ in range(4):  # computed, inserted, mend computed, inserted: each time both before the other's insert
        for receiver in (one, other):
            receiver.step()
    assert (one.mended, other.mended) == (1, 1)
    for receiver in (one, other, one):
        receiver.finish()
    assert store.arrow(SUMS, {"tenant": tenant}).row(0) == (1, 25, 12)
