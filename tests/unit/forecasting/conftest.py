"""One embedded store for this folder, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store


@pytest.fixture(scope="package")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with the newest schema."""
    with Store.embedded(tmp_path_factory.mktemp("store")) as store:
        runner.apply(store)
        yield store


@pytest.fixture
def store(opened: Store) -> Store:
    """The store without rollups and forecasts."""
    for table in ("genai_rollup_hour", "genai_rollup_day", "genai_forecast"):
        opened.command(f"TRUNCATE TABLE otel.{table}")
    return opened
