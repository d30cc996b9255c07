"""The state machine of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alerting.engine import Engine, Notice, Options, Record
from alerting.evaluation import RuleFailed
from alerting.files import parse
from alerting.rules import Place
from alerting.states import RESOLVED_RETENTION, Alert, Candidate, Timing, ends_at, fingerprint, is_due, restored, step

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LABELS = {"alertname": "A", "team": "search"}
#: What one round answers: a row (its value), no row, a failed query, or a new life of the service.
ROUNDS = st.lists(st.sampled_from(["row", "none", "failed", "restart"]), min_size=1, max_size=60)


class Memory:
    """A journal that outlives an engine."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, datetime], Record] = {}

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self.kept[record.rule, record.alert.fingerprint, record.alert.active_at] = record

    def read(self) -> Sequence[Record]:
        return list(self.kept.values())


class Answers:
    """A database that answers what the test says."""

    def __init__(self) -> None:
        self.says = "none"
        self.turn = 0

    def rows(self, sql: str, parameters: Mapping[str, str], most: int) -> list[dict[str, Any]]:
        self.turn += 1
        if self.says == "failed":
            raise RuleFailed("no")
        return [{"value": self.turn, "team": "search", "note": f"turn {self.turn}"}] if self.says == "row" else []

    def columns(self, sql: str, parameters: Mapping[str, str]) -> list[str]:
        return ["value", "team", "note"]


def engine(
    wait: int, keep: int, journal: Memory, answers: Answers, sent: list[tuple[datetime, Notice]], clock: list[datetime]
) -> Engine:
    text = f"""
groups:
  - name: g
    rules:
      - alert: A
        expr: SELECT 1 AS value
        for: {wait}m
        keep_firing_for: {keep}m
        labels: [team]
        annotations: {{summary: "{{{{ $row.note }}}}"}}
"""
    (group,) = parse(Path("rules.yaml"), text).groups
    made = Engine([group], answers, journal, lambda told: sent.extend((clock[0], one) for one in told), Options())
    made.restore(clock[0])
    return made


@given(ROUNDS, st.integers(0, 5), st.integers(0, 5))
def test_an_alert_lives_by_the_rules(rounds: list[str], wait: int, keep: int) -> None:
    """Never fires before `for`, never ends on a failed query, ends in the future while it fires, keeps its identity."""
    clock, journal, answers, sent = [NOW], Memory(), Answers(), []
    one = engine(wait, keep, journal, answers, sent, clock)
    seen_since: datetime | None = None
    before = "inactive"
    identities = set()
    for says in rounds:
        clock[0] += MINUTE
        if says == "restart":
            one = engine(wait, keep, journal, answers, sent, clock)
            continue
        answers.says = says
        heard = len(sent)
        one.evaluate(one.groups[0], clock[0])
        there = one.alerts()
        state = _state(there)
        identities |= {alert.fingerprint for _, alert in there}
        if says == "row":
            seen_since = seen_since or clock[0]
        elif says == "none":
            seen_since = None
        if state == "firing" and before in ("inactive", "pending", "resolved"):
            assert seen_since is not None and clock[0] - seen_since >= timedelta(minutes=wait)
        if says == "failed":
            assert state == before or (before, state) == ("resolved", "inactive")
        if before == "firing" and state == "resolved":
            assert says == "none"
        if says == "row" and state == "firing":
            assert there[0][1].annotations["summary"] == f"turn {answers.turn}"
        for at, notice in sent[heard:]:
            assert notice.resolved == (state == "resolved")
            assert notice.resolved or notice.ends_at - at >= timedelta(minutes=4)
        if state == "firing":  # and is heard of in time, whatever fails
            last = max(at for at, notice in sent if not notice.resolved)
            assert clock[0] - last <= timedelta(minutes=1)
        before = state
    assert len(identities) <= 1


@given(st.integers(0, 30))
def test_a_resolved_alert_is_repeated_for_a_quarter_of_an_hour(minutes: int) -> None:
    """A resolved alert is due every minute for fifteen minutes and then forgotten."""
    fired = step(Timing(), {}, [Candidate(LABELS)], NOW)
    sent = {key: replace(alert, last_sent_at=NOW) for key, alert in fired.items()}
    gone = step(Timing(), sent, [], NOW + MINUTE)
    (alert,) = gone.values()
    assert alert.state == "resolved" and is_due(alert, NOW + MINUTE, MINUTE)
    later = NOW + MINUTE + timedelta(minutes=minutes)
    left = step(Timing(), gone, [], later)
    assert bool(left) == (timedelta(minutes=minutes) <= RESOLVED_RETENTION)
    assert all(ends_at(one, later, MINUTE, MINUTE) == NOW + MINUTE for one in left.values())


@given(st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["", "x", "y"])))
def test_identity_is_the_labels(labels: dict[str, str]) -> None:
    """Order and empty labels make no difference, every other label does."""
    shuffled = dict(reversed(labels.items()))
    filled = {name: value for name, value in labels.items() if value}
    assert fingerprint(labels) == fingerprint(shuffled) == fingerprint(filled)
    assert fingerprint({**labels, "f": "z"}) != fingerprint(labels)


def test_a_pending_alert_nobody_saw_for_an_hour_starts_anew() -> None:
    """An outage longer than the tolerance does not count towards `for`; a firing alert is taken up all the same."""
    (pending,) = step(Timing(wait=MINUTE), {}, [Candidate(LABELS)], NOW).values()
    (firing,) = step(Timing(), {}, [Candidate(LABELS)], NOW).values()
    assert restored(pending, NOW, NOW + timedelta(minutes=59)) is pending
    assert restored(pending, NOW, NOW + timedelta(minutes=61)) is None
    assert restored(firing, NOW, NOW + timedelta(days=3)) is firing


def test_a_window_delays_the_first_word_only() -> None:
    """In a suppression window nothing new is announced; what was announced goes on, and what lasts is told after it."""
    from alerting.suppression import suppression

    clock, answers, sent = [NOW], Answers(), []
    made = engine(0, 0, Memory(), answers, sent, clock)
    window = suppression({"alerts": ["A"], "starts": "2026-11-21T12:02:00Z", "ends": "2026-11-21T12:05:00Z"})
    made._options = replace(made._options, suppressions=(window,))
    said = {1: "row", 2: "row", 3: "none", 4: "row", 5: "row"}
    for minute, says in said.items():
        clock[0], answers.says = NOW + minute * MINUTE, says
        made.evaluate(made.groups[0], clock[0])
    told = [((at - NOW) // MINUTE, notice.resolved) for at, notice in sent]
    assert told == [(1, False), (2, False), (3, True), (5, False)]


def test_windows_of_weekdays_and_nights() -> None:
    """A window over midnight belongs to the day it begins on, in its own time zone."""
    from alerting.suppression import suppression

    window = suppression({"weekdays": ["fri"], "from": "22:00", "until": "06:00", "timezone": "Europe/Berlin"})
    berlin = [("2026-11-20T20:59", False), ("2026-11-20T21:00", True), ("2026-11-21T04:59", True)]
    berlin += [("2026-11-21T05:00", False), ("2026-11-21T21:30", False)]
    for text, covered in berlin:
        assert window.covers("any", {}, datetime.fromisoformat(text).replace(tzinfo=UTC)) is covered, text


def test_places_are_shown_as_editors_know_them() -> None:
    """A place is file:line."""
    assert str(Place(Path("a/b.yaml"), 3)) == "a/b.yaml:3"


def _state(there: list[tuple[str, Alert]]) -> str:
    """The state of the one alert there is; one that ended before it fired was never there for anybody."""
    if not there or (there[0][1].state == "resolved" and there[0][1].fired_at is None):
        return "inactive"
    return there[0][1].state
