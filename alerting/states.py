"""The state machine of alerts, pure: what was, what a rule answered, what time it is -> what is.

    inactive -> pending -> firing -> resolved          (Prometheus: rules/alerting.go)

A row that is not answered any more ends its alert; a question that failed changes nothing (`step` is not called).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

State = Literal["pending", "firing", "resolved"]
#: How long a resolved alert goes on being sent: Alertmanager may have been away (Prometheus: resolvedRetention).
RESOLVED_RETENTION: Final = timedelta(minutes=15)
#: A firing alert ends by itself when nothing is heard of it for this many rounds (Prometheus: ValidUntil).
ROUNDS_OF_SILENCE: Final = 4
#: A pending alert nobody looked at for longer starts anew (Prometheus: rules.alert.for-outage-tolerance).
OUTAGE_TOLERANCE: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Candidate:
    """One row of a rule's answer. Identity is ``labels`` alone."""

    labels: Mapping[str, str]
    value: float = 0.0
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """One alert from its first appearance to its end."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    state: State
    active_at: datetime
    fired_at: datetime | None = None
    keep_until: datetime | None = None
    resolved_at: datetime | None = None
    last_sent_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """Its identity."""
        return fingerprint(self.labels)


@dataclass(frozen=True)
class Timing:
    """The times of a rule."""

    wait: timedelta = timedelta(0)
    keep_firing_for: timedelta = timedelta(0)


Alerts = Mapping[str, Alert]


def fingerprint(labels: Mapping[str, str]) -> str:
    """A hash of the label set; empty labels are not there, as for Alertmanager."""
    told = "\xff".join(f"{name}\xff{value}" for name, value in sorted(labels.items()) if value)
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def step(timing: Timing, before: Alerts, answered: Iterable[Candidate], now: datetime) -> dict[str, Alert]:
    """The alerts of one rule after it answered. Identities in ``answered`` are distinct."""
    rows = {fingerprint(row.labels): row for row in answered}
    after = {key: _seen(timing, before.get(key), row, now) for key, row in rows.items()}
    for key, alert in before.items():
        if key not in rows and (kept := _unseen(timing, alert, now)) is not None:
            after[key] = kept
    return after


def _seen(timing: Timing, before: Alert | None, row: Candidate, now: datetime) -> Alert:
    if before is None or before.state == "resolved":
        alert = Alert(row.labels, row.annotations, row.value, "pending", now)
    else:
        alert = replace(before, annotations=row.annotations, value=row.value, keep_until=None)
    if alert.state == "pending" and now - alert.active_at >= timing.wait:
        return replace(alert, state="firing", fired_at=now)
    return alert


def _unseen(timing: Timing, alert: Alert, now: datetime) -> Alert | None:
    """What becomes of an alert whose row is gone; None forgets it."""
    if alert.state == "resolved":
        gone = alert.resolved_at is None or now - alert.resolved_at > RESOLVED_RETENTION
        return None if gone or alert.fired_at is None else alert
    if alert.state == "firing" and timing.keep_firing_for:
        until = alert.keep_until or now + timing.keep_firing_for
        if now < until:
            return replace(alert, keep_until=until)
    return over(alert, now)


def over(alert: Alert, now: datetime) -> Alert:
    """The alert, ended. One that never fired has nothing to announce (``fired_at`` is None)."""
    return replace(alert, state="resolved", resolved_at=now, keep_until=None)


def is_due(alert: Alert, now: datetime, resend_delay: timedelta) -> bool:
    """Whether Alertmanager is to hear of it now."""
    if alert.fired_at is None or alert.state == "pending":
        return False
    if alert.state == "resolved":
        if alert.last_sent_at is None:  # it was never announced: there is nothing to take back
            return False
        if alert.resolved_at is not None and alert.resolved_at > alert.last_sent_at:
            return True
    return alert.last_sent_at is None or now - alert.last_sent_at >= resend_delay


def ends_at(alert: Alert, now: datetime, interval: timedelta, resend_delay: timedelta) -> datetime:
    """When Alertmanager may take it for over: the past when it is, else far enough ahead for several rounds."""
    if alert.state == "resolved" and alert.resolved_at is not None:
        return alert.resolved_at
    return now + ROUNDS_OF_SILENCE * max(interval, resend_delay)


def restored(alert: Alert, seen_at: datetime, now: datetime) -> Alert | None:
    """An alert of an earlier life, last looked at ``seen_at``; None when it has to start anew."""
    if alert.state == "pending" and now - seen_at > OUTAGE_TOLERANCE:
        return None
    if alert.state == "resolved" and _unseen(Timing(), alert, now) is None:
        return None
    return alert
