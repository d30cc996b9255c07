"""Read-only questions, against the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse_schema.errors import StoreError
from clickhouse_schema.store import Store
from otel_exporter.asking import direct, table
from otel_exporter.failures import Refused
from otel_exporter.guard import canonical


@pytest.fixture(scope="module")
def store(data_dir: Path) -> Iterator[Store]:
    """The store of ``data_dir``, opened once: nobody here changes anything, that is the point."""
    with Store.embedded(data_dir) as opened:
        yield opened


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1 -- comment",
        "SELECT 1; ",
        "/* a; b */ SELECT 'INTO OUTFILE ; SETTINGS a = 1'",
        "WITH 1 AS x SELECT x",
        "FROM system.one SELECT dummy",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SHOW TABLES",
        "DESCRIBE genai_calls",
        "EXPLAIN SELECT 1",
        "EXPLAIN AST SELECT 1",
        "EXISTS TABLE genai_calls",
        "SHOW CREATE TABLE genai_calls",
        'SELECT `FORMAT x`, "INTO OUTFILE" FROM (SELECT 1 AS `FORMAT x`, 2 AS `INTO OUTFILE`)',
        "SELECT name FROM system.settings LIMIT 1",
        "SELECT count() FROM genai_calls",
    ],
)
def test_reading_is_allowed(store: Store, sql: str) -> None:
    """Whatever only reads is answered, however it is spelled."""
    assert table(direct(store), sql).columns


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1 /* */; DROP TABLE otel.genai_ledger",
        "",
        "-- nothing",
        "DROP TABLE otel.genai_ledger",
        "INSERT INTO otel.otel_logs SELECT * FROM otel.otel_logs",
        "TRUNCATE TABLE otel.genai_ledger",
        "ALTER TABLE otel.genai_ledger DELETE WHERE 1",
        "SET readonly = 0",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
        "CREATE TABLE otel.x (a Int8) ENGINE = Memory",
        "SELECT 1 INTO OUTFILE '{path}'",
        "EXPLAIN SELECT 1 INTO OUTFILE '{path}'",
        "SELECT 1 AS `a'b` INTO OUTFILE '{path}'",
        "SELECT 1 AS `a\\\\'`, '`' INTO OUTFILE '{path}'",
        "SELECT '\\\\' INTO OUTFILE '{path}'",
        "SELECT 1 AS \"'\" INTO OUTFILE '{path}'",
        "SELECT file('/etc/hostname')",
        "SELECT `file`('/etc/hostname')",
        "SELECT arrayMap(x -> file(x), ['/etc/hostname'])",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM (SELECT * FROM file('/etc/hostname', 'LineAsString') SETTINGS readonly = 0)",
        "SELECT * FROM default.`/etc/hostname`",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/x.csv')",
        "SELECT * FROM sqlite('/tmp/x', 'y')",
        "SELECT * FROM Python(data)",
        "SELECT * FROM executable('x', 'y', 'a String')",
        "SELECT * FROM filesystem('/etc')",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 FORMAT JSON",
        "SELEC 1",
        "SELECT nope",
    ],
)
def test_anything_else_is_not(store: Store, tmp_path: Path, sql: str) -> None:
    """What writes, reads files or networks, changes settings, or is no SQL fails, and changes nothing."""
    target = tmp_path / "out"
    with pytest.raises((Refused, StoreError)):
        direct(store)(sql.replace("{path}", str(target)), {})
    assert not target.exists()
    assert table(direct(store), "SELECT count() FROM otel.genai_ledger").rows == [[6]]


def test_failures_do_not_show_our_settings(store: Store) -> None:
    """What ClickHouse says about a question is about the question, not about the settings we add."""
    with pytest.raises(StoreError) as raised:
        direct(store)("SELECT nope", {})
    assert "nope" in raised.value.detail and "SETTINGS" not in raised.value.detail


def test_values_arrive_as_they_are_printed(store: Store) -> None:
    """Decimals are exact text, times ISO 8601 in UTC from any zone, 64 bits are numbers, enums and UUIDs are text."""
    sql = """SELECT toDecimal128('0.000000000001', 12), toDateTime64('2026-01-01 00:00:00.5', 3, 'Europe/Berlin'),
        18446744073709551615, CAST('ok', 'Enum8(\\'ok\\' = 1)'), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'),
        [toDecimal64(1, 2)], map('a', 1.5), NULL, true, nan, unhex('ff'), '\\n'"""
    assert table(direct(store), sql).rows == [
        [
            "0.000000000001",
            "2025-12-31T23:00:00.500Z",
            2**64 - 1,
            "ok",
            "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
            ["1"],
            {"a": 1.5},
            None,
            True,
            None,
            "\ufffd",
            "\n",
        ]
    ]


def test_time_limit(store: Store) -> None:
    """A question that takes too long fails instead of going on for ever."""
    with pytest.raises(StoreError, match="TIMEOUT"):
        direct(store, 1)("SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))", {})


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8")))
def test_text_cannot_break_out(text: str) -> None:
    """Any text inside a quoted literal stays one harmless literal after ClickHouse's parser rewrote it."""
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert table(direct(_STORE[0]), f"SELECT {quoted}").rows == [[text]]
    assert canonical(_STORE[0], f"SELECT {quoted} -- x").startswith("SELECT '")


_STORE: list[Store] = []


@pytest.fixture(autouse=True)
def _keep(store: Store) -> None:
    """Hypothesis and function-scoped fixtures do not mix: the store of the moment, for the property test."""
    _STORE[:] = [store]
