"""The engine: evaluates groups, remembers what is pending and firing, says what Alertmanager has to hear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from alerting.evaluation import Database, Identity, RuleFailed, candidates, has_data, parameters
from alerting.rules import Group, Rule
from alerting.states import Alert, Timing, ends_at, is_due, over, restored, step
from alerting.suppression import Suppression
from alerting.templates import Links

#: An alert that does not change is written down again this often, so that a later life knows until when it was seen.
HEARTBEAT: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Record:
    """An alert as the journal keeps it."""

    group: str
    rule: str
    alert: Alert
    updated_at: datetime


class Journal(Protocol):
    """Where alerts are kept for the next life."""

    def write(self, records: Sequence[Record]) -> None:
        """Keep these; a record of the same alert and appearance replaces the one before."""
        ...

    def read(self) -> Sequence[Record]:
        """The newest record of every alert that is not long over."""
        ...


@dataclass(frozen=True)
class Notice:
    """What Alertmanager hears of one alert."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    resolved: bool


@dataclass(frozen=True)
class Health:
    """How a rule's last evaluation went; ``sentence`` is '' when it went well."""

    rule: Rule
    group: str
    sentence: str = ""
    kind: str = "ok"  # ok, failed, absent
    evaluated_at: datetime | None = None


@dataclass(frozen=True)
class Options:
    """What an installation says about all its rules."""

    identity: Identity = field(default_factory=Identity)
    links: Links = field(default_factory=Links)
    resend_delay: timedelta = timedelta(minutes=1)
    suppressions: tuple[Suppression, ...] = ()
    #: Seconds of backlog from which on data count as stuck: rules keep their state instead of reading a gap as an end.
    stalled_after: float = 300.0


Send = Callable[[Sequence[Notice]], None]
Facts = Callable[[], Mapping[str, str]]


class Engine:
    """All rules of an installation. `evaluate` may be called for different groups from different threads."""

    def __init__(
        self,
        groups: Sequence[Group],
        database: Database,
        journal: Journal,
        send: Send,
        options: Options | None = None,
        facts: Facts = dict,
    ) -> None:
        self.groups = tuple(replace(group, rules=tuple(r for r in group.rules if r.enabled)) for group in groups)
        self._database = database
        self._journal = journal
        self._send = send
        self._options = options or Options()
        self._facts = facts
        self._alerts: dict[str, dict[str, Alert]] = {}
        self._written: dict[tuple[str, str], datetime] = {}
        self._health: dict[str, Health] = {}
        self._lock = threading.Lock()

    def restore(self, now: datetime) -> None:
        """Take up what an earlier life left; alerts of rules that are gone end here."""
        rules = {rule.id for group in self.groups for rule in group.rules}
        orphans = []
        for record in self._journal.read():
            alert = restored(record.alert, record.updated_at, now)
            name = f"{record.rule}/{record.alert.labels.get('severity', '')}"
            if alert is None:
                continue
            if name in rules:
                self._alerts.setdefault(name, {})[alert.fingerprint] = alert
            elif alert.state != "resolved":
                orphans.append((record.group, record.rule, over(alert, now)))
        self._end(orphans, now)

    def _end(self, orphans: Sequence[tuple[str, str, Alert]], now: datetime) -> None:
        told = [self._notice(alert, now, timedelta(0)) for _, _, alert in orphans if alert.last_sent_at is not None]
        self._send(told)
        self._journal.write(
            [Record(group, rule, replace(alert, last_sent_at=now), now) for group, rule, alert in orphans]
        )

    def evaluate(self, group: Group, now: datetime) -> None:
        """One round of a group: every rule is asked, whatever becomes of the others."""
        facts = self._facts()
        for rule in group.rules:
            health = self._round(group, rule, facts, now)
            with self._lock:
                self._health[rule.id] = health

    def _round(self, group: Group, rule: Rule, facts: Mapping[str, str], now: datetime) -> Health:
        before = self._alerts.get(rule.id, {})
        health, after = Health(rule, group.name, evaluated_at=now), before
        try:
            if self._is_stalled(rule, facts):
                health = replace(health, kind="absent", sentence="data are stuck in front of ClickHouse: state is kept")
            elif not has_data(rule, self._database, facts, now):
                health = replace(health, kind="absent", sentence="its data are too old to say anything: state is kept")
            else:
                after = self._answered(group, rule, before, facts, now)
        except RuleFailed as failed:
            health = replace(health, kind="failed", sentence=str(failed))
        self._settle(group, rule, before, after, now)
        return health

    def _is_stalled(self, rule: Rule, facts: Mapping[str, str]) -> bool:
        return not rule.even_when_stalled and float(facts.get("backlog_seconds", "0")) > self._options.stalled_after

    def _answered(
        self, group: Group, rule: Rule, before: Mapping[str, Alert], facts: Mapping[str, str], now: datetime
    ) -> dict[str, Alert]:
        rows = self._database.rows(rule.expr, parameters(rule, facts, now), group.limit)
        found = candidates(rule, rows, now, self._options.identity, self._options.links)
        return step(Timing(rule.wait, rule.keep_firing_for), before, found, now)

    def _settle(
        self, group: Group, rule: Rule, before: Mapping[str, Alert], after: Mapping[str, Alert], now: datetime
    ) -> None:
        """Send what is due (also when the rule failed: a firing alert must not run out), then write down changes."""
        due = {key: alert for key, alert in after.items() if self._is_due(rule, alert, now)}
        self._send([self._notice(alert, now, group.interval) for alert in due.values()])
        settled = {key: replace(alert, last_sent_at=now) if key in due else alert for key, alert in after.items()}
        with self._lock:
            self._alerts[rule.id] = settled
        self._journal.write(
            [Record(group.name, rule.name, alert, now) for alert in self._news(rule, before, settled, now)]
        )

    def _is_due(self, rule: Rule, alert: Alert, now: datetime) -> bool:
        if not is_due(alert, now, self._options.resend_delay):
            return False
        if alert.last_sent_at is not None:
            return True
        windows = (*self._options.suppressions, *rule.suppress)
        return not any(window.covers(rule.name, alert.labels, now) for window in windows)

    def _notice(self, alert: Alert, now: datetime, interval: timedelta) -> Notice:
        until = ends_at(alert, now, interval, self._options.resend_delay)
        started = alert.fired_at or alert.active_at
        return Notice(alert.labels, alert.annotations, started, until, alert.state == "resolved")

    def _news(
        self, rule: Rule, before: Mapping[str, Alert], after: Mapping[str, Alert], now: datetime
    ) -> Iterator[Alert]:
        """What the journal does not know yet: new states, first sendings, and a sign of life now and then."""
        for key, alert in after.items():
            old, written = before.get(key), self._written.get((rule.id, key))
            changed = old is None or (old.state, old.active_at) != (alert.state, alert.active_at)
            told = old is not None and old.last_sent_at is None and alert.last_sent_at is not None
            asleep = written is None or now - written >= HEARTBEAT
            if changed or told or (asleep and alert.state != "resolved"):
                self._written[rule.id, key] = now
                yield alert
        for key in before.keys() - after.keys():
            self._written.pop((rule.id, key), None)

    def alerts(self) -> list[tuple[str, Alert]]:
        """Every alert there is, with its rule."""
        with self._lock:
            return [(name, alert) for name, alerts in self._alerts.items() for alert in alerts.values()]

    def health(self) -> list[Health]:
        """How every evaluated rule is."""
        with self._lock:
            return list(self._health.values())


class Forgetful:
    """A journal that keeps nothing: for tests of rules and for replays."""

    def write(self, records: Sequence[Record]) -> None:
        """Nothing is kept."""

    def read(self) -> Sequence[Record]:
        """Nothing was kept."""
        return ()
