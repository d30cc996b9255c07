"""One evaluation of one rule: its rows, checked, as candidates for alerts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from alerting.rules import FACTS, Rule
from alerting.states import Candidate, fingerprint
from alerting.templates import Context, Links

Row = Mapping[str, Any]
#: Columns of a row with a meaning of their own; all others are for annotations.
VALUE, USD, CALLS = "value", "usd", "calls"
_PARAMETER: Final = re.compile(r"\{\s*(\w+)\s*:")
_TOLD_BY_ITSELF: Final = ("expected", "at_risk_usd", "blast_radius", "top_contributors")


class RuleFailed(Exception):
    """The rule could not be evaluated; the sentence holds no data."""


class DatabaseAway(RuleFailed):
    """The rule is not at fault: the database could not be asked now."""


class Database(Protocol):
    """Where rules ask: read-only, bounded in time and rows. Both raise RuleFailed."""

    def rows(self, sql: str, parameters: Mapping[str, str], most: int) -> Sequence[Row]:
        """The answer; more than ``most`` rows are a failure."""
        ...

    def columns(self, sql: str, parameters: Mapping[str, str]) -> Sequence[str]:
        """The names of the answer's columns, without running the question."""
        ...


@dataclass(frozen=True)
class Identity:
    """What every alert of an installation is given.

    Attributes:
        external: labels of every alert, such as the cluster; a rule's own win.
        owners: team -> owner, for rows that do not name one.
    """

    external: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)


def parameters(rule: Rule, facts: Mapping[str, str], now: datetime, sql: str = "") -> dict[str, str]:
    """What a rule's SQL asks for by ``{name:Type}``."""
    known = {
        **{name: "0" for name in FACTS if name != "failing_jobs"},
        "failing_jobs": "",
        **facts,
        "now": now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "min_usd": str(rule.min_usd),
        "min_calls": str(rule.min_calls),
    }
    return {name: known[name] for name in _PARAMETER.findall(sql or rule.expr) if name in known}


def has_data(rule: Rule, database: Database, facts: Mapping[str, str], now: datetime) -> bool:
    """Whether the rule's guard finds data that speak of now. Raises RuleFailed."""
    if rule.guard is None:
        return True
    expr = rule.guard.expr
    rows = database.rows(expr, parameters(rule, facts, now, expr), 1)
    newest = next(iter(rows[0].values()), None) if rows else None
    if not isinstance(newest, datetime) or newest.year <= 1970:  # nothing was ever there: an answer, no absence
        return True
    return now - newest <= rule.guard.max_age


def candidates(rule: Rule, rows: Sequence[Row], now: datetime, identity: Identity, links: Links) -> list[Candidate]:
    """The rows that are alerts, each with its identity and its annotations.

    Raises:
        RuleFailed: a row has no value, or two rows are the same alert.
    """
    found: dict[str, Candidate] = {}
    for row in rows:
        if _is_small(rule, row):
            continue
        labels = _labels(rule, row, identity)
        if (key := fingerprint(labels)) in found:
            raise RuleFailed(f"returns two rows with the same labels ({', '.join(rule.labels) or 'it has none'})")
        value = _value(row)
        context = Context(rule.name, row, labels, value, now, links)
        found[key] = Candidate(labels, value, dict(_annotations(rule, row, context)))
    return list(found.values())


def _value(row: Row) -> float:
    try:
        value = float(row[VALUE])
    except (KeyError, TypeError, ValueError):
        raise RuleFailed("returns a row without a number in column value") from None
    if math.isnan(value):
        raise RuleFailed("returns a row whose value is not a number")
    return value


def _is_small(rule: Rule, row: Row) -> bool:
    """Unknown volume is not small: the row stays."""
    spent, calls = row.get(USD), row.get(CALLS)
    too_cheap = rule.min_usd > 0 and spent is not None and Decimal(str(spent)) < rule.min_usd
    return too_cheap or (rule.min_calls > 0 and calls is not None and float(calls) < rule.min_calls)


def _labels(rule: Rule, row: Row, identity: Identity) -> dict[str, str]:
    labels = {**identity.external, "alertname": rule.name, "severity": rule.severity}
    for name in rule.labels:
        value = row.get(name)
        labels[name] = "" if value is None else str(value)
    owner = labels.get("owner") or identity.owners.get(labels.get("team", ""), "")
    if owner:
        labels["owner"] = owner
    return {name: value for name, value in labels.items() if value}


def _annotations(rule: Rule, row: Row, context: Context) -> Iterator[tuple[str, str]]:
    """The rule's templates, the value, the runbook, and the columns whose names are annotations already."""
    yield "value", f"{context.value:g}"
    yield "runbook_url", context.links.runbook(rule.name)
    for name in _TOLD_BY_ITSELF:
        if name not in rule.annotations and row.get(name) not in (None, ""):
            yield name, str(row[name])
    for name, template in rule.annotations.items():
        if text := template(context):
            yield name, text


def check(rule: Rule, database: Database, now: datetime) -> Iterator[str]:
    """What is wrong with a rule's SQL and with what it says of its columns: sentences.

    Raises:
        DatabaseAway: nobody can say now.
    """
    try:
        columns = database.columns(rule.expr, parameters(rule, {}, now))
        if rule.guard is not None:
            database.columns(rule.guard.expr, parameters(rule, {}, now, rule.guard.expr))
    except DatabaseAway:
        raise
    except RuleFailed as failed:
        yield f"expr: {failed}"
        return
    if rule.replay:
        yield from _of_replay(rule, database)
    if twice := {name for name in columns if list(columns).count(name) > 1}:
        yield f"expr: returns two columns named {min(twice)}"
    yield from (f"expr: has no column {name}, which {why}" for name, why in _needed(rule) if name not in columns)
    for name, template in rule.annotations.items():
        for kind, spoken in sorted(template.names):
            if kind == "row" and spoken not in columns:
                yield f"annotations: {name} speaks of $row.{spoken}, and expr has no such column"


def _of_replay(rule: Rule, database: Database) -> Iterator[str]:
    said = {"since": "1971-01-01 00:00:00", "until": "1971-01-02 00:00:00", "min_usd": "0", "min_calls": "0"}
    named = {name: said[name] for name in _PARAMETER.findall(rule.replay) if name in said}
    try:
        columns = database.columns(rule.replay, named)
    except DatabaseAway:
        raise
    except RuleFailed as failed:
        yield f"replay: {failed}"
        return
    yield from (f"replay: has no column {name}" for name in ("since", "until") if name not in columns)


def _needed(rule: Rule) -> Iterable[tuple[str, str]]:
    yield VALUE, "every rule needs"
    yield from ((name, "labels name") for name in rule.labels)
    if rule.min_usd:
        yield USD, "min_usd needs"
    if rule.min_calls:
        yield CALLS, "min_calls needs"
