"""Rollups over the whole corpus: what the dashboards add up is what really happened, however it came in."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from clickhouse_schema import runner
from clickhouse_schema.rollups import ROLLUPS
from clickhouse_schema.store import Store
from otel_exporter.poster import LedgerPoster
from processors.contract import LEDGER_COLUMNS, LEDGER_SCHEMA, MONEY
from processors.identify import with_keys
from processors.reprice import reprice
from tests.corpus.cases import Case, cases

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CASES = list(cases())[::5]  # every producer has several


class Books:
    """A store that is posted to as the writer does."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self._file = directory / "entries.arrow"
        self._numbers = count()
        self._poster = LedgerPoster(store, _price, now=lambda: NOW)

    def observe(self, tenant: str, observations: pl.DataFrame) -> None:
        """Post observations as this tenant's."""
        mine = observations.with_columns(tenant=pl.lit(tenant))
        for entries in self._poster.entries(tenant, mine).values():
            self.insert(entries)

    def insert(self, entries: pl.DataFrame) -> None:
        """Insert entries, and the same file under the same token once more."""
        entries.write_ipc(self._file)
        token = f"token-{next(self._numbers)}"
        for _ in range(2):
            self.store.insert_file("genai_ledger", self._file, token)

    def reprice(self, tenant: str) -> None:
        """Everything costs twice as much from now on."""
        sql = f"SELECT {', '.join(LEDGER_COLUMNS)} FROM otel.genai_ledger WHERE tenant = {{tenant:String}}"
        standing = self.store.arrow(sql, {"tenant": tenant}).cast(dict(LEDGER_SCHEMA))  # type: ignore[arg-type]
        self.insert(reprice(standing, _double, NOW))


def _price(calls: pl.DataFrame) -> pl.DataFrame:
    """A thousandth of a dollar a token where tokens are known."""
    cost = (pl.col("input_tokens") + pl.col("output_tokens")).cast(MONEY) / 1000
    return calls.with_columns(cost_usd=cost.cast(MONEY))


def _double(calls: pl.DataFrame) -> pl.DataFrame:
    return _price(calls).with_columns(cost_usd=(pl.col("cost_usd") + pl.col("cost_usd")).cast(MONEY))


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The corpus, each case as a tenant of its own, posted in three parts in random order, then repriced."""
    directory = tmp_path_factory.mktemp("rollups")
    store = Store.embedded(directory / "data")
    runner.apply(store)
    books = Books(store, directory)
    dice = random.Random(3)
    parts = [(str(case), part) for case in CASES for part in _parts(case, dice)]
    dice.shuffle(parts)
    for tenant, part in parts:
        books.observe(tenant, part)
    for case in CASES[::2]:
        books.reprice(str(case))
    return books


def _parts(case: Case, dice: random.Random) -> list[pl.DataFrame]:
    """Its observations in up to three parts, some of them in two."""
    seen = with_keys(case.observations())
    rows = list(range(seen.height)) + dice.sample(range(seen.height), seen.height // 2)
    dice.shuffle(rows)
    return [seen[rows[start::3]] for start in range(3) if rows[start::3]]


def test_rollups_count_what_was_called(books: Books) -> None:
    """Each case has as many calls in every rollup as were really made, and the input tokens of `genai_calls`."""
    truth = {str(case): len(case.calls) for case in CASES if case.calls}
    for rollup in ROLLUPS[:3]:
        found = books.store.arrow(f"SELECT tenant, sum(calls) AS n FROM {rollup.table} GROUP BY tenant HAVING n != 0")
        assert dict(found.select("tenant", "n").iter_rows()) == truth


def test_rollups_add_up_to_the_ledger(books: Books) -> None:
    """After late observations, repeated files and new prices no day of any tenant differs."""
    reversals = books.store.command("SELECT count() FROM otel.genai_reversals")
    assert int(reversals) > len(CASES) / 3
    for rollup in ROLLUPS:
        assert books.store.arrow(rollup.wrong_days(), {"since": date(1970, 1, 1)}).is_empty()
    spent = "SELECT toString(sum(cost_usd)), toString(sum(input_tokens)) FROM otel."
    calls = books.store.arrow(f"{spent}genai_calls").row(0)
    assert [books.store.arrow(f"{spent}{rollup.name}").row(0) for rollup in ROLLUPS[:3]] == [calls] * 3


def test_drop_downs_list_what_calls_have(books: Books) -> None:
    """`genai_values` holds exactly the values that standing calls have."""
    for key in ("model", "team", "application"):
        listed = books.store.arrow(f"SELECT DISTINCT value FROM otel.genai_values WHERE key = '{key}'")["value"]
        known = books.store.arrow(f"SELECT DISTINCT {key} AS value FROM otel.genai_calls WHERE {key} != ''")["value"]
        assert set(listed) == set(known)
