"""Off-peak hours: which calls were billed inside a model's cheaper windows.

A block is LiteLLM's ``off_peak_pricing``: ``hours_utc`` every day, and ``windows`` of hours on some weekdays, read on
the calendar of ``weekday_timezone``. A window wraps past midnight when it ends before it starts, and lasts the whole
day when both are the same; a malformed one never opens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Final

import polars as pl

_DAYS: Final = {
    name: number
    for number, names in enumerate(
        ("mon monday", "tue tues tuesday", "wed wednesday", "thu thur thurs thursday", "fri friday", "sat saturday",
         "sun sunday"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_HOURS: Final = re.compile(r"\s*([01]?\d|2[0-3]):([0-5]?\d)\s*-\s*([01]?\d|2[0-3]):([0-5]?\d)\s*")


def is_off_peak(block: Mapping[str, Any], moment: pl.Expr) -> pl.Expr:
    """Whether ``moment`` (UTC) lies in one of the block's windows."""
    open_now = [_within(hours, moment) for hours in _texts(block.get("hours_utc"))]
    calendar = block.get("weekday_timezone")
    zone = calendar.strip() if isinstance(calendar, str) and calendar.strip() else "UTC"
    for rule in _rules(block.get("windows")):
        on_days = _on(rule.get("weekdays"), moment.dt.convert_time_zone(zone))
        open_now += [_within(hours, moment) & on_days for hours in _texts(rule.get("hours_utc"))]
    return reduce(lambda left, right: left | right, open_now, pl.lit(False))


def _within(hours: str, moment: pl.Expr) -> pl.Expr:
    match = _HOURS.fullmatch(hours)
    if match is None:
        return pl.lit(False)
    start, end = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
    minute = moment.dt.hour().cast(pl.Int32) * 60 + moment.dt.minute().cast(pl.Int32)
    return (minute >= start) & (minute < end) if start < end else (minute >= start) | (minute < end)


def _on(weekdays: object, local: pl.Expr) -> pl.Expr:
    if weekdays is None:
        return pl.lit(True)
    if isinstance(weekdays, str) or not isinstance(weekdays, Sequence):
        return pl.lit(False)
    return local.dt.weekday().is_in(list(_numbers(weekdays)))


def _numbers(weekdays: Sequence[object]) -> Iterator[int]:
    for day in weekdays:
        number = _DAYS.get(day.strip().lower()) if isinstance(day, str) else day
        if isinstance(number, int) and 1 <= number <= 7:
            yield number


def _rules(windows: object) -> list[Mapping[str, Any]]:
    if isinstance(windows, str) or not isinstance(windows, Sequence):
        return []
    return [rule for rule in windows if isinstance(rule, Mapping)]


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, Sequence) else []
