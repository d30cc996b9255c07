"""Look-ups that ClickHouse refuses: cut in parts, without what cannot be asked; the ledger comes out the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema import runner
from clickhouse_schema.errors import StoreRejected, StoreUnavailable
from clickhouse_schema.store import Store
from otel_exporter.poster import LedgerPoster
from processors.contract import LEDGER_SCHEMA
from tests.unit.otel_exporter.test_reconcile import SIGNED, SUMS
from tests.unit.processors.test_post import free
from tests.unit.processors.worlds import Call, frame, observations_of, worlds

NOW = datetime(2026, 11, 2, tzinfo=UTC)
NUMBER = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.embedded(tmp_path_factory.mktemp("asked") / "data") as opened:
        runner.apply(opened)
        yield opened


class Refusing:
    """The real store; some questions to the ledger it refuses."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.poison: frozenset[str] = frozenset()  # refused for good
        self.most = 10**9  # more handles at once are too much
        self.broken: Exception | None = None
        self.asked = 0

    def ledger_entries(
        self, tenant: str, handles: Sequence[str], since: datetime | None, until: datetime | None
    ) -> pl.DataFrame:
        self.asked += 1
        if self.broken:
            raise self.broken
        if self.poison & set(handles):
            raise StoreRejected(44, "refused")
        if len(handles) > self.most:
            raise StoreUnavailable(241, "memory")
        return self._store.ledger_entries(tenant, handles, since, until)


class Bench:
    """A poster over such a store, and a writer's part: inserting what it computes."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store, self._file = store, directory / "entries.arrow"
        self.tenant = f"l{next(NUMBER)}"
        self.refusing = Refusing(store)
        self.aside: list[dict[str, object]] = []
        self._poster = LedgerPoster(
            self.refusing,  # type: ignore[arg-type]
            free,
            now=lambda: NOW,
            set_aside=lambda _tenant, rows, _why: self.aside.extend(rows.to_dicts()),
        )

    def post(self, rows: Sequence[dict[str, object]]) -> None:
        if rows:
            observations = frame([row | {"tenant": self.tenant} for row in rows])
            entries = self._poster.entries(self.tenant, observations).get(
                "genai_ledger", pl.DataFrame(schema=LEDGER_SCHEMA)
            )
            entries.write_ipc(self._file)
            self.store.insert_file("genai_ledger", self._file, f"asked-{next(NUMBER)}")

    def sums(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the calls that stand, and of all signed entries."""
        calls = self.store.arrow(SUMS, {"tenant": self.tenant}).row(0)
        signed = self.store.arrow(SIGNED, {"t": self.tenant}).row(0)
        return tuple(value or 0 for value in calls), tuple(value or 0 for value in signed)


def truth(calls: list[Call]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ok = [call.tokens for call in calls if not call.failed]
    sums = (len(calls), sum(tokens[0] for tokens in ok), sum(tokens[1] for tokens in ok))
    return sums, sums[:2]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.data())
def test_too_much_at_once_is_asked_in_parts(
    store: Store, tmp_path_factory: pytest.TempPathFactory, calls: list[Call], data: st.DataObject
) -> None:
    """However small the parts that can be asked, every call stands once with its tokens, and nothing is set aside."""
    bench = Bench(store, tmp_path_factory.mktemp("files"))
    rows = data.draw(st.permutations(observations_of(calls)))
    cut = data.draw(st.integers(0, len(rows)))
    bench.post(rows[:cut])
    bench.refusing.most = data.draw(st.integers(8, 40))
    bench.post([*rows[cut:], *rows[: data.draw(st.integers(0, cut))]])
    assert bench.sums() == truth(calls) and bench.aside == []


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.data())
def test_what_cannot_be_asked_about_is_set_aside_and_posted_later(
    store: Store, tmp_path_factory: pytest.TempPathFactory, calls: list[Call], data: st.DataObject
) -> None:
    """Exactly the observations whose own question is refused are set aside; posted later, in whatever order, every
    call stands once with its tokens.
    """
    bench = Bench(store, tmp_path_factory.mktemp("files"))
    rows = data.draw(st.permutations(observations_of(calls)))
    cut = data.draw(st.integers(0, len(rows)))
    bench.post(rows[:cut])
    keys = sorted({str(key) for row in frame(rows)["keys"] for key in row})
    bench.refusing.poison = data.draw(st.frozensets(st.sampled_from(keys), min_size=1, max_size=2))
    bench.post(rows[cut:])
    mine = frame(rows[cut:])["keys"].to_list() if rows[cut:] else []
    certain = sum(bool(bench.refusing.poison & set(found)) for found in mine)
    assert len(bench.aside) >= certain, "a question that names the poison is refused"
    bench.refusing.poison = frozenset()
    late, bench.aside = data.draw(st.permutations(bench.aside)), []
    for row in late:
        bench.post([row])
    assert bench.sums() == truth(calls) and bench.aside == []


def rows_of(number: int) -> list[dict[str, object]]:
    """Observations of so many calls."""
    calls = [Call(n, n, n * 10, (25, 12), False, None, frozenset({"client"})) for n in range(number)]
    return observations_of(calls)


@pytest.mark.parametrize("error", [StoreRejected(60, "no table"), StoreUnavailable(241, "memory")])
def test_when_every_question_is_refused_nothing_is_set_aside(store: Store, tmp_path: Path, error: Exception) -> None:
    """A missing table or a server without memory is nobody's observations' fault: two questions, and it is said."""
    bench = Bench(store, tmp_path)
    bench.refusing.broken = error
    with pytest.raises(type(error)):
        bench.post(rows_of(40))
    assert bench.aside == [] and bench.refusing.asked == 2


def test_very_many_that_cannot_be_asked_about_are_our_fault(store: Store, tmp_path: Path) -> None:
    """A hundred of a batch may be set aside; with more, nothing is, and the batch waits for whoever mends it."""
    bench = Bench(store, tmp_path)
    rows = rows_of(150)
    bench.refusing.poison = frozenset(str(key) for found in frame(rows[:101])["keys"] for key in found)
    with pytest.raises(StoreRejected):
        bench.post(rows)
    assert bench.aside == [] and bench.sums()[0][0] == 0
