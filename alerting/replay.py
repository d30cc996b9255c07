"""Replay: what rules would have done over a stretch of the past, and how many pages that were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alerting.engine import Engine, Forgetful, Health, Options
from alerting.evaluation import Database
from alerting.rules import Group
from alerting.states import Alert

#: Told rounds done and all rounds.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Firing:
    """One alert from firing to its end; ``until`` is None when it still fires at the end of the replay."""

    alert: Alert
    group: str
    since: datetime
    until: datetime | None


def replay(
    groups: Sequence[Group],
    database: Database,
    options: Options,
    span: tuple[datetime, datetime],
    step: timedelta,
    progress: Progress = lambda _done, _all: None,
) -> tuple[list[Firing], list[Health]]:
    """Evaluate the enabled rules every ``step`` (or every interval of the group, if longer) over ``span``.

    The data are read as they are today, up to the moment that is replayed.
    """
    clock, end = span
    groups = [replace(group, interval=max(group.interval, step)) for group in groups]
    engine = Engine(groups, database, Forgetful(), lambda _: None, options)
    due = {group.name: clock for group in engine.groups}
    firing: dict[tuple[str, str], Firing] = {}
    over: list[Firing] = []
    total = max(1, (end - clock) // step)
    failed: dict[str, Health] = {}
    done = 0
    while clock <= end:
        for group in engine.groups:
            if due[group.name] <= clock:
                due[group.name] = clock + group.interval
                engine.evaluate(group, clock)
        failed |= {health.rule.id: health for health in engine.health() if health.kind == "failed"}
        _note(engine, firing, over)
        clock += step
        progress(done := done + 1, total)
    return sorted([*over, *firing.values()], key=lambda one: one.since), list(failed.values())


def _note(engine: Engine, firing: dict[tuple[str, str], Firing], over: list[Firing]) -> None:
    groups = {rule.id: group.name for group in engine.groups for rule in group.rules}
    for rule, alert in engine.alerts():
        key = (rule, alert.fingerprint)
        if alert.state == "firing" and alert.fired_at is not None:
            firing[key] = Firing(alert, groups[rule], alert.fired_at, None)
        elif alert.state == "resolved" and key in firing:
            over.append(replace(firing.pop(key), until=alert.resolved_at))


def pages_a_week(firings: Sequence[Firing], span: timedelta) -> float:
    """Critical alerts a week: those somebody is woken for."""
    pages = sum(firing.alert.labels.get("severity") == "critical" for firing in firings)
    return pages / (span / timedelta(weeks=1))
