"""What Grafana and its ClickHouse plugin do to a query before ClickHouse sees it.

First `$__conditionalAll` (in the browser), then the variables (Grafana), then the macros (the plugin's backend), as
grafana-clickhouse-datasource 4.20 has them in `pkg/macros/macros.go`. Enough of each for the dashboards of this pack:
a macro that is not known here is an error, never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: Grafana's value of a variable on which "All" is chosen.
ALL: Final = "$__all"
_CONDITIONAL: Final = "$__conditionalAll("
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(?!__)(\w+)")
_MACRO: Final = re.compile(r"\$__(\w+)(\()?")

#: What is chosen, by variable. A list where several can be.
Chosen = Mapping[str, str | Sequence[str]]


class MacroError(ValueError):
    """A query asks for something that the plugin, or this module, would not expand."""


@dataclass(frozen=True)
class Window:
    """The time range of a dashboard, and the seconds between two points of a panel."""

    start: datetime
    end: datetime
    interval_s: int = 60


def expand(sql: str, window: Window, chosen: Chosen) -> str:
    """The SQL that reaches ClickHouse.

    Raises:
        MacroError: an unknown macro, variable or format.
    """
    return _macros(_interpolated(_conditions(sql, chosen), chosen), window)


def variables_of(sql: str) -> set[str]:
    """The dashboard's own variables that a query names (Grafana's built-in ones are not among them)."""
    return {braced or plain for braced, _, plain in _VARIABLE.findall(sql) if not (braced or plain).startswith("__")}


def _conditions(sql: str, chosen: Chosen) -> str:
    while (start := sql.find(_CONDITIONAL)) >= 0:
        arguments, end = _arguments(sql, start + len(_CONDITIONAL))
        if len(arguments) != 2 or not re.fullmatch(r"\$\w+", arguments[1]):
            raise MacroError(f"$__conditionalAll takes a condition and a plain $variable, not {arguments}")
        value = chosen.get(arguments[1][1:], ALL)
        every = value in (ALL, "") or (not isinstance(value, str) and (ALL in value or not value))
        sql = sql[:start] + ("1=1" if every else arguments[0]) + sql[end:]
    return sql


def _arguments(sql: str, start: int) -> tuple[list[str], int]:
    """The arguments after an opening bracket, split at its own commas, and where it closes."""
    depth, begin, found = 1, start, []
    for position in range(start, len(sql)):
        character = sql[position]
        depth += (character == "(") - (character == ")")
        if depth == 0 or (depth == 1 and character == ","):
            found.append(sql[begin:position].strip())
            begin = position + 1
        if depth == 0:
            return found, position + 1
    raise MacroError("a macro's bracket is not closed")


def _interpolated(sql: str, chosen: Chosen) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name not in chosen:
            raise MacroError(f"no variable is called {name}")
        picked = chosen[name]
        values = [picked] if isinstance(picked, str) else list(picked)
        written = _FORMATS.get(match[2] or "raw")
        if written is None:
            raise MacroError(f"the format {match[2]} is not known")
        return written(values)

    return _VARIABLE.sub(value, sql)


def _single_quoted(values: Sequence[str]) -> str:
    return ",".join("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values)


_FORMATS: Final[Mapping[str, Callable[[Sequence[str]], str]]] = {
    "singlequote": _single_quoted,
    "sqlstring": _single_quoted,  # Grafana doubles the quote; a value that ends in a backslash would escape that
    "csv": ",".join,
    "raw": ",".join,
}


def _macros(sql: str, window: Window) -> str:
    out, position = "", 0
    while match := _MACRO.search(sql, position):
        if match[1] not in _BACKEND:
            raise MacroError(f"the macro $__{match[1]} is not known")
        wanted, write = _BACKEND[match[1]]
        end = match.end() - bool(match[2])
        arguments: list[str] = []
        if wanted:
            if not match[2]:
                raise MacroError(f"$__{match[1]} needs a column")
            arguments, end = _arguments(sql, match.end())
        if len(arguments) != wanted:
            raise MacroError(f"$__{match[1]} takes {wanted} arguments, not {len(arguments)}")
        out += sql[position : match.start()] + write(window, arguments)
        position = end
    return out + sql[position:]


def _seconds(moment: datetime) -> str:
    return f"toDateTime({int(moment.timestamp())})"


def _milliseconds(moment: datetime) -> str:
    return f"fromUnixTimestamp64Milli({int(moment.timestamp() * 1000)})"


def _date(moment: datetime) -> str:
    return f"toDate('{moment:%Y-%m-%d}')"


_Write = Callable[[Window, Sequence[str]], str]


def _between(column: str, window: Window, write: Callable[[datetime], str]) -> str:
    return f"{column} >= {write(window.start)} AND {column} <= {write(window.end)}"


#: Name -> how many arguments it takes, what it becomes.
_BACKEND: Final[Mapping[str, tuple[int, _Write]]] = {
    "fromTime": (0, lambda w, _: _seconds(w.start)),
    "toTime": (0, lambda w, _: _seconds(w.end)),
    "fromTime_ms": (0, lambda w, _: _milliseconds(w.start)),
    "toTime_ms": (0, lambda w, _: _milliseconds(w.end)),
    "interval_s": (0, lambda w, _: str(max(w.interval_s, 1))),
    "timeFilter": (1, lambda w, a: _between(a[0], w, _seconds)),
    "timeFilter_ms": (1, lambda w, a: _between(a[0], w, _milliseconds)),
    "dateFilter": (1, lambda w, a: _between(a[0], w, _date)),
    "dateTimeFilter": (2, lambda w, a: f"({_between(a[0], w, _date)}) AND ({_between(a[1], w, _seconds)})"),
    "timeFrom": (1, lambda w, a: f"{a[0]} >= {_seconds(w.start)}"),
    "timeTo": (1, lambda w, a: f"{a[0]} <= {_seconds(w.end)}"),
    "timeInterval": (
        1,
        lambda w, a: f"toStartOfInterval(toDateTime({a[0]}), INTERVAL {max(w.interval_s, 1)} second)",
    ),
    "timeInterval_ms": (
        1,
        lambda w, a: f"toStartOfInterval(toDateTime64({a[0]}, 3), INTERVAL {max(w.interval_s, 1) * 1000} millisecond)",
    ),
}
