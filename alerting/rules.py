"""What a rule is: a question in SQL whose every answered row is an alert, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from alerting.suppression import Suppression
    from alerting.templates import Template

#: Severities in falling order; ``none`` is for alerts that nobody should be told about, such as Watchdog.
SEVERITIES: Final = ("critical", "warning", "info", "none")
#: Rows a rule may return when its group says no ``limit``: beyond it, a rule is wrong rather than the world.
LIMIT: Final = 1000
#: What SQL may ask for besides the tables, as ``{name:Type}``.
FACTS: Final[Mapping[str, str]] = {
    "now": "DateTime('UTC'): when the rule is evaluated; use it instead of now()",
    "min_usd": "Float64: the rule's own min_usd",
    "min_calls": "UInt64: the rule's own min_calls",
    "backlog_seconds": "Float64: age of the oldest acknowledged data that are not in ClickHouse yet",
    "backlog_bytes": "Float64: size of what is acknowledged and not in ClickHouse yet",
    "dead_letters": "Float64: files of rows that ClickHouse would not take, set aside",
    "failing_jobs": "String: scheduled jobs whose last run failed, separated by commas",
}


@dataclass(frozen=True)
class Place:
    """Where something is written."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Fault:
    """One mistake in a rule file; ``rule`` is '' when it is about the file."""

    place: Place
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.rule + ': ' if self.rule else ''}{self.sentence}"


@dataclass(frozen=True)
class Guard:
    """Says when a rule's data are absent: its SQL answers the newest moment they speak of.

    Data older than ``max_age`` say nothing about now, so the rule keeps its state. No data at all is an answer: a rule
    over a feature nobody uses is silent.
    """

    expr: str
    max_age: timedelta


@dataclass(frozen=True)
class Rule:
    """One alerting rule.

    Attributes:
        labels: columns that make the identity of an alert, with ``alertname`` and ``severity``.
        wait: how long a row must be there before the alert fires (``for``).
        keep_firing_for: how long the alert goes on firing after its row went away.
        min_usd, min_calls: a row whose column ``usd`` or ``calls`` is smaller is no alert.
        even_when_stalled: evaluated also while data are known to be stuck in front of ClickHouse.
        replay: SQL for replays: the stretches (``since``, ``until``) of {since:DateTime('UTC')} to
            {until:DateTime('UTC')} outside of which the rule surely finds nothing new; '' when nobody knows.
    """

    name: str
    expr: str
    place: Place
    severity: str = "warning"
    labels: tuple[str, ...] = ()
    wait: timedelta = timedelta(0)
    keep_firing_for: timedelta = timedelta(0)
    min_usd: Decimal = Decimal(0)
    min_calls: int = 0
    enabled: bool = True
    even_when_stalled: bool = False
    guard: Guard | None = None
    replay: str = ""
    suppress: tuple[Suppression, ...] = ()
    annotations: Mapping[str, Template] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What tells rules apart: one alert name may be there once for each severity."""
        return f"{self.name}/{self.severity}"


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after another, every ``interval``."""

    name: str
    place: Place
    rules: tuple[Rule, ...]
    interval: timedelta = timedelta(minutes=1)
    limit: int = LIMIT


@dataclass(frozen=True)
class Given:
    """Rows of a table that a test's database holds from ``arrives`` after the test's start on."""

    place: Place
    table: str
    rows: tuple[Mapping[str, Any], ...]
    arrives: timedelta


@dataclass(frozen=True)
class Expected:
    """The alerts of one rule at one moment of a test; each is labels, ``state`` and pieces of annotations."""

    place: Place
    at: timedelta
    alert: str
    alerts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Trial:
    """A rule's own test: rows in, alerts out, at times."""

    name: str
    place: Place
    start: str
    given: tuple[Given, ...]
    facts: tuple[tuple[timedelta, Mapping[str, str]], ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True)
class RuleFile:
    """What one file says; what is wrong is in ``faults`` and not in ``groups``."""

    file: Path
    groups: tuple[Group, ...] = ()
    trials: tuple[Trial, ...] = ()
    faults: tuple[Fault, ...] = ()
