"""Printing tables."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.render import Format, Table, render, safe

VALUES = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)


def printed(table: Table, form: Format) -> str:
    """What `render` writes."""
    out = io.StringIO()
    render(table, form, out)
    return out.getvalue()


def test_json_types() -> None:
    """JSON keeps decimals exact as text, times as ISO 8601 in UTC, 64-bit integers, NULL, arrays and maps."""
    cet = timezone(timedelta(hours=1))
    row: list[Any] = [
        Decimal("0.000000000001"),
        Decimal("1E+3"),
        datetime(2026, 1, 1, 1, 0, 0, 5, cet),
        date(2026, 1, 2),
        2**64 - 1,
        None,
        ["a"],
        {"k": "v"},
        True,
        "ü\n",
    ]
    out = printed(Table(tuple("abcdefghij"), [row]), Format.JSON)
    assert '"e": 18446744073709551615' in out
    assert json.loads(out) == [
        {
            "a": "0.000000000001",
            "b": "1000",
            "c": "2026-01-01T00:00:00.000005Z",
            "d": "2026-01-02",
            "e": 2**64 - 1,
            "f": None,
            "g": ["a"],
            "h": {"k": "v"},
            "i": True,
            "j": "ü\n",
        }
    ]


def test_json_of_nothing() -> None:
    """No rows are an empty array, not an empty output."""
    assert json.loads(printed(Table(("a",), []), Format.JSON)) == []


def test_json_keeps_columns_of_one_name() -> None:
    """A column whose name is taken is numbered, so that no value disappears."""
    assert json.loads(printed(Table(("a", "b", "a"), [[1, 2, 3]]), Format.JSON)) == [{"a": 1, "b": 2, "a_3": 3}]


@given(st.lists(st.tuples(VALUES, VALUES), max_size=5))
def test_json_round_trips(rows: list[tuple[Any, Any]]) -> None:
    """Whatever plain values a table holds, its JSON reads back as the same rows."""
    assert [tuple(record.values()) for record in json.loads(printed(Table(("a", "b"), rows), Format.JSON))] == rows


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_csv_round_trips(rows: list[tuple[str, str]]) -> None:
    """Text with commas, quotes and line ends reads back unchanged."""
    out = printed(Table(("a", "b"), rows), Format.CSV)
    assert [tuple(row) for row in csv.reader(io.StringIO(out, newline=""))] == [("a", "b"), *rows]


def test_csv_types() -> None:
    """CSV leaves NULL empty, writes decimals exactly and arrays as JSON."""
    out = printed(Table(("a", "b", "c"), [[None, Decimal("1E-12"), ["x", "y"]]]), Format.CSV)
    assert out == 'a,b,c\n,0.000000000001,"[""x"", ""y""]"\n'


@given(st.text())
def test_tables_cannot_steer_a_terminal(text: str) -> None:
    """No control or direction character of a value reaches the terminal."""
    shown = safe(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2066" for c in shown)
    out = printed(Table((text or "x",), [[text]]), Format.TABLE)
    assert "\x1b" not in out and "\u202e" not in out


def test_table_shows_markup_as_text() -> None:
    """Square brackets in values are text, not Rich's markup."""
    assert "[bold]x[/bold]" in printed(Table(("a",), [["[bold]x[/bold]"]]), Format.TABLE)


def test_table_to_a_pipe_is_never_cut() -> None:
    """Without a terminal every value is printed whole, on its own row."""
    out = printed(Table(("a", "b"), [["x" * 500, 1]]), Format.TABLE)
    assert "x" * 500 in out


def test_narrow_terminal_gets_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """When columns do not fit the terminal, each value has a line of its own."""
    monkeypatch.setenv("COLUMNS", "40")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    render(Table(("first", "second"), [["x" * 30, "y" * 30]]), Format.TABLE, out)
    assert "second" in out.getvalue() and "─ 1 " in out.getvalue()


def test_numbers_are_right_aligned() -> None:
    """ClickHouse's types decide the alignment: decimals arrive as text and still line up."""
    table = Table(("cost",), [["1.5"], ["10.25"]], ("Nullable(Decimal(38, 12))",))
    assert printed(table, Format.TABLE).splitlines()[2].startswith("  1.5")


def test_records_with_different_keys() -> None:
    """A table of records has every key once; what a record lacks is NULL."""
    assert Table.of([{"a": 1}, {"b": 2}]) == Table(("a", "b"), [[1, None], [None, 2]])


def test_times_in_utc() -> None:
    """A time in UTC ends in Z."""
    assert json.loads(printed(Table(("t",), [[datetime(2026, 1, 1, tzinfo=UTC)]]), Format.JSON)) == [
        {"t": "2026-01-01T00:00:00Z"}
    ]
