"""One embedded store for this folder (a process can have one open), emptied before each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from clickhouse_schema import runner, tables
from clickhouse_schema.store import Store

Put = Callable[..., None]

_NOT_EMPTY = """SELECT name FROM system.tables WHERE database = 'otel' AND total_rows > 0 AND engine LIKE '%MergeTree'
AND name != 'schema_migrations'"""


@pytest.fixture(scope="package")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store in a directory whose name would be a glob and a quotation, were it ever put into SQL as it is."""
    with Store.embedded(tmp_path_factory.mktemp("store") / "it's {a,b}* %41#&=ü") as store:
        yield store


@pytest.fixture
def store(opened: Store) -> Store:
    """The store with the newest schema and no rows; TRUNCATE also forgets the tokens of earlier inserts."""
    runner.apply(opened)
    for table in opened.arrow(_NOT_EMPTY)["name"]:
        opened.command(f"TRUNCATE TABLE otel.{table}")
    return opened


@pytest.fixture
def blank(opened: Store) -> Iterator[Store]:
    """The store before its first migration; whatever is made of it is thrown away."""
    opened.command("DROP DATABASE IF EXISTS otel SYNC")
    yield opened
    opened.command("DROP DATABASE IF EXISTS otel SYNC")


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Put:
    """Inserts a frame as the writer does: checked, as an Arrow file, under a token (a new one when none is given)."""
    numbers = count()

    def insert(table: str, rows: pl.DataFrame, token: str | None = None) -> None:
        tables.check(table, rows)
        path = tmp_path / f"{next(numbers)}.arrow"
        rows.write_ipc(path, compression="lz4")
        store.insert_file(table, path, token or f"{path}")

    return insert
