"""A table of values as people, programs and spreadsheets want it: `table`, `json`, `csv`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TextIO

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NEEDS_QUOTES: Final = re.compile(r'[",\r\n]')
_UNLIMITED: Final = 100_000  # columns of a "terminal" that is a pipe: nothing is folded or cut
_NUMERIC: Final = re.compile(r"^(Nullable\(|LowCardinality\()*(U?Int|Float|BFloat|Decimal)")


class Format(StrEnum):
    """How data are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True)
class Table:
    """Rows of plain values under unique column names; ``types`` are ClickHouse's when it answered."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    types: tuple[str, ...] = ()
    title: str = field(default="", compare=False)

    @staticmethod
    def of(records: Iterable[Mapping[str, Any]], title: str = "") -> Table:
        """A table of mappings; a column missing from a record is None there."""
        rows = list(records)
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        return Table(columns, [[row.get(name) for name in columns] for row in rows], title=title)


def render(table: Table, form: Format, out: TextIO | None = None) -> None:
    """Print ``table`` on ``out`` (standard output)."""
    _RENDERERS[form](table, out or sys.stdout)


def as_json(table: Table, out: TextIO) -> None:
    """One JSON array of objects: Decimal as string, times ISO 8601 in UTC, integers as numbers."""
    names = _unique(table.columns)
    write_json((dict(zip(names, row, strict=True)) for row in table.rows), out)


def write_json(records: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Records as one JSON array, one to a line."""
    separator, end = "[\n", "[]\n"
    for record in records:
        out.write(separator + json.dumps(record, ensure_ascii=False, default=plain))
        separator, end = ",\n", "\n]\n"
    out.write(end)


def as_csv(table: Table, out: TextIO) -> None:
    """Comma separated with a header; nothing for NULL, JSON for arrays and maps."""
    rows = (table.columns, *table.rows)
    out.writelines(",".join(_quoted(_cell(value, null="")) for value in row) + "\n" for row in rows)


def as_table(table: Table, out: TextIO) -> None:
    """Columns side by side; when a terminal is too narrow for them, one line per value."""
    from rich.console import Console

    cells = [[safe(_cell(value, null="NULL")) for value in row] for row in table.rows]
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    if _width(table.columns, cells) > console.width:
        _print_records(console, table, cells)
    else:
        console.print(_grid(table, cells))


def plain(value: Any) -> Any:
    """A value JSON does not know as one it does."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def safe(text: str) -> str:
    """Text that cannot steer a terminal: control and direction characters are spelled out."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _cell(value: Any, null: str) -> str:
    if value is None:
        return null
    if isinstance(value, (list, dict, tuple, bool)):
        return json.dumps(value, ensure_ascii=False, default=plain)
    return str(value) if isinstance(value, (str, int, float)) else str(plain(value))


def _quoted(cell: str) -> str:
    """RFC 4180; the csv module leaves a lone carriage return bare."""
    return '"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell


def _unique(columns: Sequence[str]) -> list[str]:
    """Column names, a repeated one with its position: an object cannot hold a name twice."""
    return [name if columns.index(name) == index else f"{name}_{index + 1}" for index, name in enumerate(columns)]


def _width(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    widths = (
        [max(len(name), *(len(row[index]) for row in cells)) for index, name in enumerate(columns)] if cells else []
    )
    return sum(widths) + 3 * len(columns)


def _grid(table: Table, cells: Sequence[Sequence[str]]) -> Any:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=box.SIMPLE_HEAD, title=table.title or None, title_justify="left", pad_edge=False, show_edge=False)
    for index, name in enumerate(table.columns):
        grid.add_column(Text(safe(name)), justify="right" if _is_numeric(table, index) else "left", overflow="fold")
    for row in cells:
        grid.add_row(*map(Text, row))
    return grid


def _print_records(console: Any, table: Table, cells: Sequence[Sequence[str]]) -> None:
    from rich.text import Text

    label = max(len(name) for name in table.columns)
    for number, row in enumerate(cells, 1):
        console.print(Text(f"─ {number} " + "─" * (label - len(str(number)))), style="dim")
        for name, value in zip(table.columns, row, strict=True):
            console.print(Text(f"{safe(name):<{label}}  {value}"))


def _is_numeric(table: Table, index: int) -> bool:
    if table.types:
        return bool(_NUMERIC.match(table.types[index]))
    values = [row[index] for row in table.rows if row[index] is not None]
    return bool(values) and all(isinstance(value, (int, float, Decimal)) and value is not True for value in values)


_RENDERERS: Final[Mapping[Format, Callable[[Table, TextIO], None]]] = {
    Format.TABLE: as_table,
    Format.JSON: as_json,
    Format.CSV: as_csv,
}
