"""The ``tests:`` of a rule file: rows in, alerts out, at times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from alerting.durations import duration
from alerting.lines import Lined
from alerting.rules import Expected, Fault, Given, Place, Trial

START: Final = "2026-11-11T12:00:00"  # a Wednesday
_MOST_ROWS: Final = 100_000
_KEYS: Final = {
    "test": ("name", "start", "given", "facts", "expect"),
    "given": ("table", "arrives", "from", "until", "every", "row", "rows"),
    "expect": ("at", "alert", "alerts"),
}


def trials(file: Path, root: Lined) -> tuple[tuple[Trial, ...], tuple[Fault, ...]]:
    """The tests of a file and what is wrong with them."""
    found, faults = [], []
    for number, said in enumerate(root.get("tests") or [], 1):
        name = str(said.get("name") or f"test {number}") if isinstance(said, Lined) else f"test {number}"
        place = Place(file, said.line if isinstance(said, Lined) else root.lines["tests"])
        try:
            found.append(_trial(file, name, place, said))
        except (ValueError, TypeError, KeyError) as error:
            sentence = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            faults.append(Fault(place, "", f"test {name!r}: {sentence}"))
    return tuple(found), tuple(faults)


def _trial(file: Path, name: str, place: Place, said: Any) -> Trial:
    _only(said, "test")
    return Trial(
        name=name,
        place=place,
        start=str(said.get("start") or START),
        given=tuple(_given(file, part) for part in said.get("given") or []),
        facts=tuple(_facts(part) for part in said.get("facts") or []),
        expected=tuple(_expected(file, part) for part in said["expect"]),
    )


def _given(file: Path, said: Any) -> Given:
    _only(said, "given")
    arrives = duration(said.get("arrives") or "0")
    rows = tuple(_rows(said))
    return Given(Place(file, said.line), str(said["table"]), rows, arrives)


def _rows(said: Lined) -> Iterator[Mapping[str, Any]]:
    """``rows`` as they are; ``row`` once, or repeated ``every`` so often, its time going into ``$t``."""
    yield from said.get("rows") or []
    if "row" not in said:
        return
    if "every" not in said:
        yield said["row"]
        return
    at, until, every = (offset(said[key]) for key in ("from", "until", "every"))
    if not every or (until - at) / every > _MOST_ROWS:
        raise ValueError(f"more than {_MOST_ROWS} rows")
    while at < until:
        seconds = at.total_seconds()
        yield {key: f"{seconds:.3f}s" if value == "$t" else value for key, value in said["row"].items()}
        at += every


def offset(text: object) -> timedelta:
    """A duration that may be negative: ``-2h``. ``12.5s`` is what `_rows` writes.

    Raises:
        ValueError: it is none.
    """
    written = str(text).strip()
    if written.endswith("s") and written[:-1].lstrip("-").replace(".", "", 1).isdecimal():
        return timedelta(seconds=float(written[:-1]))
    return -duration(written[1:]) if written.startswith("-") else duration(written)


def _facts(said: Any) -> tuple[timedelta, Mapping[str, str]]:
    values = {name: str(value) for name, value in said.items() if name != "at"}
    return duration(said.get("at") or "0"), values


def _expected(file: Path, said: Any) -> Expected:
    _only(said, "expect")
    alerts = tuple(said.get("alerts") or ())
    return Expected(Place(file, said.line), duration(said["at"]), str(said["alert"]), alerts)


def _only(said: Any, kind: str) -> None:
    if not isinstance(said, Lined):
        raise TypeError(f"{kind} must be a mapping")
    if unknown := [key for key in said if key not in _KEYS[kind]]:
        raise ValueError(f"unknown key {unknown[0]} (line {said.lines[unknown[0]]})")
