"""The tables as ClickHouse made them, against what the code says they are."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from clickhouse_schema import tables
from clickhouse_schema.store import Store
from processors.contract import CALL, LEDGER
from tests.unit.clickhouse_schema import rows
from tests.unit.clickhouse_schema.conftest import Put


def _columns(store: Store, table: str) -> dict[str, str]:
    described = store.arrow(f"DESCRIBE TABLE otel.{table}")
    return dict(described.filter(pl.col("default_type") == "").select("name", "type").iter_rows())


@pytest.mark.parametrize("table", tables.COLUMNS)
def test_columns_are_those_of_the_landing_schema(store: Store, table: str) -> None:
    """Names, order and types of every table equal the frames it takes."""
    assert tuple(_columns(store, table)) == tables.COLUMNS[table]
    assert store.arrow(f"SELECT * FROM otel.{table}").schema == tables.LANDING[table]


def test_the_ledger_has_the_contracts_types(store: Store) -> None:
    """The ledger's DDL and the contract are one list."""
    assert _columns(store, "genai_ledger") == {column.name: column.clickhouse for column in LEDGER}


def test_genai_calls_has_the_contracts_columns(store: Store) -> None:
    """The view everyone reads has exactly the columns of a call, in order, with their types."""
    assert _columns(store, "genai_calls") == {column.name: column.clickhouse for column in CALL}
    assert list(_columns(store, "genai_calls")) == [column.name for column in CALL]


def test_every_table_remembers_its_last_ten_thousand_tokens(store: Store) -> None:
    """No table, nor the target of a view, may take a replayed file twice."""
    made = store.arrow(
        """SELECT name FROM system.tables WHERE database = 'otel' AND engine LIKE '%MergeTree'
        AND name != 'schema_migrations'
        AND create_table_query NOT LIKE '%non_replicated_deduplication_window = 10000%'"""
    )
    assert made["name"].to_list() == []


def test_partitions_are_as_declared(store: Store) -> None:
    """Freezing splits files by what the tables are really partitioned by, so that a file makes few parts."""
    keys = store.arrow("SELECT name, partition_key FROM system.tables WHERE database = 'otel' AND partition_key != ''")
    length = {"toDate": "1d", "toYYYYMM": "1mo"}
    found = {name: (key.split("(")[1].split(",")[0].rstrip(")"), length[key.split("(")[0]])
             for name, key in keys.iter_rows() if name in tables.COLUMNS}  # fmt: skip
    assert found == tables.PARTITIONED_BY


@pytest.mark.parametrize("table", tables.COLUMNS)
def test_any_row_comes_back_as_it_was(store: Store, put: Put, table: str) -> None:
    """What a frame holds is what a query finds: extreme numbers, exact money, any text, NULL, nested maps."""
    types = _columns(store, table)

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(rows.one_row(table, types))
    def comes_back(row: pl.DataFrame) -> None:
        store.command(f"TRUNCATE TABLE otel.{table}")
        put(table, row)
        assert_frame_equal(store.arrow(f"SELECT * FROM otel.{table}"), row, check_exact=True)

    comes_back()


@given(st.sampled_from([0, 2**63 - 1]))
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_span_without_a_possible_time_is_kept(store: Store, put: Put, moment: int) -> None:
    """Retention forgets what is old; a span whose clock was never set is not old, and was acknowledged."""
    store.command("TRUNCATE TABLE otel.otel_traces")
    put("otel_traces", rows.frame("otel_traces", [rows.plain("otel_traces", Timestamp=moment)]))
    store.command("OPTIMIZE TABLE otel.otel_traces FINAL")
    assert store.command("SELECT count() FROM otel.otel_traces") == "1"


def test_a_frame_with_other_columns_is_refused() -> None:
    """ClickHouse would take a missing or an extra column without a word, so we do not offer one."""
    good = rows.frame("genai_limits", [rows.plain("genai_limits")])
    for wrong in (good.drop("id"), good.with_columns(more=1), good.select(reversed(good.columns))):
        with pytest.raises(ValueError, match="genai_limits"):
            tables.check("genai_limits", wrong)
    tables.check("genai_limits", good)
