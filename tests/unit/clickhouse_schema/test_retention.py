"""Retention: the tables' TTLs are what is asked for, and nothing is done twice."""

from __future__ import annotations

from datetime import date

from clickhouse_schema import retention
from clickhouse_schema.retention import FAMILIES, FOR_EVER
from clickhouse_schema.store import Store
from otel_exporter.config.tree import RetentionSettings
from tests.unit.clickhouse_schema import rows
from tests.unit.clickhouse_schema.conftest import Put

DEFAULTS = dict(RetentionSettings())
DAY = 86_400 * 10**9


def test_every_table_has_a_family(store: Store) -> None:
    """No table is forgotten: each is in the configuration, or keeps its rows for ever (migrations, the books)."""
    made = set(
        store.arrow("SELECT name FROM system.tables WHERE database = 'otel' AND engine LIKE '%MergeTree'")["name"]
    )
    assert made - FOR_EVER == {table for tables in FAMILIES.values() for table in tables}
    assert set(DEFAULTS) == set(FAMILIES)


def test_what_is_asked_for_is_what_is_kept(store: Store) -> None:
    """Every family takes any number of days and back again; the second time nothing is left to change."""
    retention.keep(store, DEFAULTS)
    for days in (dict.fromkeys(FAMILIES, 7), dict.fromkeys(FAMILIES, 0), DEFAULTS):
        assert retention.keep(store, days)
        assert retention.keep(store, days) == []
        kept = retention.kept_days(store)
        assert {table: kept[table] for tables in FAMILIES.values() for table in tables} == {
            table: days[family] for family, tables in FAMILIES.items() for table in tables
        }


def test_old_rows_go_and_rows_without_a_time_stay(store: Store, put: Put) -> None:
    """In the ledger and its rollups: three days old goes after two, today and never stay."""
    moments = [rows.NOW, rows.NOW - 3 * DAY, 0]
    entries = [
        rows.plain("genai_ledger", call_key=str(number), version=number, started_at=moment)
        for number, moment in enumerate(moments)
    ]
    put("genai_ledger", rows.frame("genai_ledger", entries))
    tables = [table for family, tables in FAMILIES.items() if "rollup" in family for table in tables]
    try:
        retention.keep(store, dict.fromkeys(FAMILIES, 2))
        for table in ("genai_ledger", "genai_rollup_minute", "genai_rollup_hour", "genai_rollup_day"):
            assert table == "genai_ledger" or table in tables
            store.command(f"OPTIMIZE TABLE otel.{table} FINAL")
            assert store.command(f"SELECT count() FROM otel.{table}") == "2"
    finally:
        retention.keep(store, DEFAULTS)


def test_only_whole_days_are_compared(store: Store) -> None:
    """A day of which the rollup or the ledger may have dropped a part is left alone; what is kept for ever is not."""
    today = date(2026, 11, 20)
    try:
        retention.keep(store, DEFAULTS | {"ledger": 5, "rollup_minute": 2})
        found = retention.whole_since(store, today)
        assert found["genai_rollup_minute"] == date(2026, 11, 19)
        assert found["genai_rollup_day"] == date(2026, 11, 16)
        retention.keep(store, dict.fromkeys(FAMILIES, 0))
        assert retention.whole_since(store, today) == {}
    finally:
        retention.keep(store, DEFAULTS)
