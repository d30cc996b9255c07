"""Budget periods: from local midnight to local midnight, whatever the clocks do in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

#: Periods that repeat with the calendar. Weeks begin on Monday.
CALENDAR: Final = ("day", "week", "month", "quarter")


@dataclass(frozen=True)
class Span:
    """A stretch of time in UTC; ``end`` is not part of it."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it takes: a local day may have 23 or 25 hours."""
        return self.end - self.start


def span(period: str, timezone: str, at: datetime) -> Span:
    """The ``period`` (of `CALENDAR`) that ``at`` lies in, by the calendar of ``timezone``.

    Raises:
        ValueError: no such period.
    """
    zone = ZoneInfo(timezone)
    first = _first(period, at.astimezone(zone).date())
    return Span(midnight(first, zone), midnight(_next(period, first), zone))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, at which ``day`` begins; where the clocks jump over midnight, the jump."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days(first: date, last: date, timezone: str) -> Span:
    """All of both days and of those between."""
    zone = ZoneInfo(timezone)
    return Span(midnight(first, zone), midnight(last + timedelta(days=1), zone))


def _first(period: str, day: date) -> date:
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    if period == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    raise ValueError(f"no period {period!r}: one of {', '.join(CALENDAR)}")


def _next(period: str, first: date) -> date:
    """The first day of the period after the one that begins on ``first``."""
    longest = {"day": 1, "week": 7, "month": 31, "quarter": 92}[period]
    return first + timedelta(days=longest) if period in ("day", "week") else _first(period, first + timedelta(longest))
