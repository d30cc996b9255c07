"""Suppression windows: times in which an alert is not announced.

An alert that was announced before the window goes on being sent: falling silent would tell Alertmanager that it is
over. One that still fires when the window ends is announced then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT: Final = time(0, 0)
KEYS: Final = ("name", "alerts", "labels", "starts", "ends", "weekdays", "from", "until", "timezone")


@dataclass(frozen=True)
class Suppression:
    """One window. What is not said does not restrict it.

    ``weekdays`` are those on which the daily time begins: ``fri 22:00 - 06:00`` ends on Saturday morning.
    """

    name: str = ""
    alerts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    starts: datetime | None = None
    ends: datetime | None = None
    weekdays: tuple[str, ...] = ()
    begin: time = _MIDNIGHT
    end: time = _MIDNIGHT
    zone: tzinfo = UTC

    def covers(self, alert: str, labels: Mapping[str, str], now: datetime) -> bool:
        """Whether this alert is not to be announced now."""
        if self.alerts and alert not in self.alerts:
            return False
        if any(labels.get(name, "") != value for name, value in self.labels.items()):
            return False
        return self._holds(now)

    def _holds(self, now: datetime) -> bool:
        if (self.starts and now < self.starts) or (self.ends and now >= self.ends):
            return False
        local = now.astimezone(self.zone)
        clock = local.time()
        if self.begin == self.end:
            return self._is_day(local)
        if self.begin < self.end:
            return self.begin <= clock < self.end and self._is_day(local)
        if clock >= self.begin:
            return self._is_day(local)
        return clock < self.end and self._is_day(local - timedelta(days=1))

    def _is_day(self, local: datetime) -> bool:
        return not self.weekdays or WEEKDAYS[local.weekday()] in self.weekdays


def suppression(said: Mapping[str, Any]) -> Suppression:
    """A window as it is written.

    Raises:
        ValueError: with a sentence.
    """
    if unknown := sorted(set(said) - set(KEYS)):
        raise ValueError(f"unknown key {unknown[0]}: a suppression has {', '.join(KEYS)}")
    weekdays = tuple(str(day).lower()[:3] for day in said.get("weekdays") or ())
    if wrong := [day for day in weekdays if day not in WEEKDAYS]:
        raise ValueError(f"weekdays are {', '.join(WEEKDAYS)}, not {wrong[0]!r}")
    return Suppression(
        name=str(said.get("name") or ""),
        alerts=tuple(map(str, said.get("alerts") or ())),
        labels={str(name): str(value) for name, value in (said.get("labels") or {}).items()},
        starts=_moment(said.get("starts")),
        ends=_moment(said.get("ends")),
        weekdays=weekdays,
        begin=_clock(said.get("from")),
        end=_clock(said.get("until")),
        zone=_zone(said.get("timezone")),
    )


def _moment(said: object) -> datetime | None:
    if said is None:
        return None
    try:
        moment = said if isinstance(said, datetime) else datetime.fromisoformat(str(said))
    except ValueError:
        raise ValueError(f"must be a time such as 2026-12-24T18:00:00Z, not {said!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _clock(said: object) -> time:
    if said is None:
        return _MIDNIGHT
    try:
        return time.fromisoformat(str(said))
    except ValueError:
        raise ValueError(f'must be a time of day such as "22:00" (in quotes), not {said!r}') from None


def _zone(said: object) -> tzinfo:
    if said is None:
        return UTC
    try:
        return ZoneInfo(str(said))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone must be a name such as Europe/Berlin, not {said!r}") from None
