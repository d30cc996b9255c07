"""Replay: what rules would have done over a stretch of the past, and how many pages that were.

Each rule goes through the past on its own. Where it says by its key ``replay`` when it may find something, it is asked
only then, and as long as one of its alerts lasts: at every other moment its answer is empty, so nothing is missed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.engine import Engine, Forgetful, Health, Options
from alerting.evaluation import Database, Row, RuleFailed
from alerting.rules import FACTS, Fault, Group, Rule
from alerting.states import Alert

#: Told rounds done and all rounds.
Progress = Callable[[int, int], None]
Span = tuple[datetime, datetime]
_OF_THE_RULE: Final = ("now", "min_usd", "min_calls")
_OF_THE_SERVICE: Final = re.compile("|".join(rf"\{{\s*{name}\s*:" for name in FACTS if name not in _OF_THE_RULE))
_MOST_SPANS: Final = 1_000_000


@dataclass(frozen=True)
class Firing:
    """One alert from firing to its end; ``until`` is None when it still fires at the end of the replay."""

    alert: Alert
    group: str
    since: datetime
    until: datetime | None


@dataclass
class Replayed:
    """What a replay found.

    Attributes:
        firings: the alerts that were announced, in the order they fired.
        failed: rules that could not be evaluated, as of their last failure.
        left_out: rules that have no past, with the reason.
        asked: how often a rule was evaluated.
    """

    firings: list[Firing] = field(default_factory=list)
    failed: list[Health] = field(default_factory=list)
    left_out: list[Fault] = field(default_factory=list)
    asked: int = 0


def replay(
    groups: Sequence[Group],
    database: Database,
    options: Options,
    span: Span,
    step: timedelta,
    progress: Progress = lambda _done, _all: None,
) -> Replayed:
    """Evaluate the enabled rules every ``step`` (or every interval of the group, if longer) over ``span``.

    Everything of ``database`` counts from the moment it speaks of: a call from its beginning on.
    """
    found = Replayed()
    wanted = [(group, rule) for group in groups for rule in group.rules if rule.enabled]
    for done, (group, rule) in enumerate(wanted):
        progress(done, len(wanted))
        if _OF_THE_SERVICE.search(rule.expr):
            found.left_out.append(
                Fault(rule.place, rule.name, "not replayed: what the running service knows has no past")
            )
            continue
        _Alone(replace(group, rules=(rule,), interval=max(group.interval, step)), database, options, found).go(span)
    progress(len(wanted), len(wanted))
    found.firings.sort(key=lambda one: (one.since, one.alert.labels["alertname"]))
    return found


class _Alone:
    """One rule in its own engine: rules know nothing of each other."""

    def __init__(self, group: Group, database: Database, options: Options, found: Replayed) -> None:
        (self._rule,) = group.rules
        self._group = group
        self._database = database
        self._engine = Engine([group], _Remembering(database), Forgetful(), lambda _: None, options)
        self._found = found
        self._firing: dict[str, Firing] = {}

    def go(self, span: Span) -> None:
        """Go through the time."""
        clock, end = span
        worth = self._worth_asking(span)
        while clock <= end:
            if not self._lasts() and worth is not None:
                clock = worth.next(clock, self._group.interval)
                if clock > end:
                    break
            self._engine.evaluate(self._engine.groups[0], clock)
            self._found.asked += 1
            self._note()
            clock += self._group.interval
        self._found.firings += self._firing.values()
        self._found.failed += [health for health in self._engine.health() if health.kind == "failed"]

    def _worth_asking(self, span: Span) -> _Spans | None:
        """When the rule may find something; None when nobody knows."""
        if not self._rule.replay:
            return None
        try:
            return _Spans(spans(self._rule, self._database, span))
        except RuleFailed as failed:
            why = f"replay: {failed}: evaluated at every moment"
            self._found.left_out.append(Fault(self._rule.place, self._rule.name, why))
            return None

    def _lasts(self) -> bool:
        return any(alert.state != "resolved" for _, alert in self._engine.alerts())

    def _note(self) -> None:
        for _, alert in self._engine.alerts():
            key = alert.fingerprint
            if alert.state == "firing" and alert.fired_at is not None and alert.last_sent_at is not None:
                self._firing[key] = Firing(alert, self._group.name, alert.fired_at, None)
            elif alert.state == "resolved" and key in self._firing:
                self._found.firings.append(replace(self._firing.pop(key), until=alert.resolved_at))


def spans(rule: Rule, database: Database, span: Span) -> list[Span]:
    """The stretches of ``span`` in which ``rule`` says that it may find something. Raises RuleFailed."""
    form = "%Y-%m-%d %H:%M:%S"
    since, until = (moment.astimezone(UTC).strftime(form) for moment in span)
    said = {"since": since, "until": until, "min_usd": str(rule.min_usd), "min_calls": str(rule.min_calls)}
    named = {name: value for name, value in said.items() if re.search(rf"\{{\s*{name}\s*:", rule.replay)}
    found = []
    for row in database.rows(rule.replay, named, _MOST_SPANS):
        begins, ends = row.get("since"), row.get("until")
        if not isinstance(begins, datetime) or not isinstance(ends, datetime):
            raise RuleFailed("must answer columns since and until of type DateTime")
        found.append((begins, ends))
    return found


class _Spans:
    """Stretches of time, joined where they touch; both ends belong to them."""

    def __init__(self, found: Sequence[Span]) -> None:
        self._starts: list[datetime] = []
        self._ends: list[datetime] = []
        for begins, ends in sorted(found):
            if self._ends and begins <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], ends)
            else:
                self._starts.append(begins)
                self._ends.append(ends)

    def next(self, clock: datetime, step: timedelta) -> datetime:
        """The first of ``clock``, ``clock`` + ``step``, ... that lies in one of them; far away when none does."""
        place = bisect_right(self._starts, clock) - 1
        while True:
            if place >= 0 and clock <= self._ends[place]:
                return clock
            place += 1
            if place >= len(self._starts):
                return datetime.max.replace(tzinfo=UTC)
            clock += max(-((clock - self._starts[place]) // step), 0) * step


class _Remembering:
    """The same question is asked once: the data of a replay do not change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: dict[str, tuple[Mapping[str, str], Sequence[Row]]] = {}

    def rows(self, sql: str, parameters: Mapping[str, str], most: int) -> Sequence[Row]:
        """The answer. Raises RuleFailed."""
        known = self._last.get(sql)
        if known is None or known[0] != parameters:
            self._last[sql] = known = (parameters, self._database.rows(sql, parameters, most))
        return known[1]

    def columns(self, sql: str, parameters: Mapping[str, str]) -> Sequence[str]:
        """The names of the answer's columns. Raises RuleFailed."""
        return self._database.columns(sql, parameters)


def pages_a_week(firings: Sequence[Firing], span: timedelta) -> float:
    """Critical alerts a week: those somebody is woken for."""
    pages = sum(firing.alert.labels.get("severity") == "critical" for firing in firings)
    return pages / (span / timedelta(weeks=1))
