"""Durations as Prometheus writes them: ``90s``, ``5m``, ``1h30m``, ``2d``, ``1w``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_SHAPE: Final = re.compile(r"(?:\d+(?:ms|[wdhms]))+")
_PART: Final = re.compile(r"(\d+)(ms|[wdhms])")


def duration(text: object) -> timedelta:
    """The duration ``text`` means; ``0`` needs no unit.

    Raises:
        ValueError: it means none.
    """
    written = str(text).strip()
    if written == "0":
        return timedelta(0)
    if not _SHAPE.fullmatch(written):
        raise ValueError(f"must be a duration such as 30s, 5m or 1h30m, not {written!r}")
    try:
        return sum((timedelta(**{_UNITS[unit]: int(count)}) for count, unit in _PART.findall(written)), timedelta(0))
    except OverflowError:
        raise ValueError(f"is too long: {written!r}") from None


def spelled(length: timedelta) -> str:
    """A duration for people: its two largest units, ``3d 4h``."""
    seconds = int(length.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + " ".join(parts[:2]) if parts else "0s"
