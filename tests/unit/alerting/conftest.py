"""One embedded store for this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store


@pytest.fixture(scope="package")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A migrated store."""
    with Store.embedded(tmp_path_factory.mktemp("alerting")) as store:
        runner.apply(store)
        yield store


@pytest.fixture
def store(opened: Store) -> Store:
    """The store without alerts and calls."""
    for table in ("alert_state", "genai_ledger"):
        opened.command(f"TRUNCATE TABLE otel.{table}")
    return opened
