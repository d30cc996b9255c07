"""An embedded store for each module of this folder, emptied before each test; the engine opens one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store


@pytest.fixture(scope="module")
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
