"""Runs the rules' own tests: rows go into a real, empty database, the rules are evaluated at times, alerts compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from alerting.engine import Engine, Forgetful, Options
from alerting.evaluation import Database
from alerting.rules import Expected, Given, Group, Place, Trial
from alerting.states import Alert
from alerting.trial_files import offset
from clickhouse_schema.errors import StoreError
from clickhouse_schema.store import Store

_KEPT: Final = "schema_migrations"
_FILLED: Final = f"""SELECT name FROM system.tables
WHERE database = 'otel' AND total_rows > 0 AND engine LIKE '%MergeTree' AND name != '{_KEPT}'"""
_STRUCTURE: Final = """SELECT name, type FROM system.columns
WHERE database = 'otel' AND table = {table:String} ORDER BY position"""
_MOST_ROUNDS: Final = 100_000
_WRITTEN_OUT: Final = re.compile(r"\d{4}-")


@dataclass(frozen=True)
class Outcome:
    """How one test went; ``wrong`` is a sentence for each expectation that does not hold."""

    trial: Trial
    wrong: tuple[tuple[Place, str], ...] = ()


def run(trial: Trial, groups: Sequence[Group], store: Store, database: Database, options: Options) -> Outcome:
    """Run one test on ``store``, whose tables are emptied first. ``database`` asks that store."""
    try:
        return Outcome(trial, tuple(_Run(trial, groups, store, database, options).wrong()))
    except (ValueError, StoreError) as error:
        detail = getattr(error, "detail", "") or str(error)
        return Outcome(trial, ((trial.place, " ".join(detail.split())),))


class _Run:
    def __init__(
        self, trial: Trial, groups: Sequence[Group], store: Store, database: Database, options: Options
    ) -> None:
        self._trial = trial
        self._store = store
        self._start = _start(trial.start)
        names = {expected.alert for expected in trial.expected}
        self._groups = [chosen for group in groups if (chosen := _only(group, names)).rules]
        if missing := names - {rule.name for group in self._groups for rule in group.rules}:
            raise ValueError(f"there is no rule {min(missing)}")
        self._now = self._start
        self._engine = Engine(self._groups, database, Forgetful(), lambda _: None, options, self._facts)

    def _facts(self) -> Mapping[str, str]:
        told: dict[str, str] = {}
        for since, facts in self._trial.facts:
            if self._start + since <= self._now:
                told |= facts
        return told

    def wrong(self) -> Iterator[tuple[Place, str]]:
        """Go through the test's time; what was expected and is not so."""
        _empty(self._store)
        waiting = sorted(self._trial.given, key=lambda given: given.arrives)
        expected = sorted(self._trial.expected, key=lambda one: one.at)
        for at in self._times(expected):
            self._now = self._start + at
            while waiting and waiting[0].arrives <= at:
                _insert(self._store, waiting.pop(0), self._start)
            for group in self._groups:
                if not at % group.interval:
                    self._engine.evaluate(group, self._now)
            for one in [one for one in expected if one.at == at]:
                yield from ((one.place, sentence) for sentence in self._compared(one))

    def _times(self, expected: Sequence[Expected]) -> Iterator[timedelta]:
        """Every moment at which a group is evaluated or something is expected."""
        last = expected[-1].at
        rounds = {one.at for one in expected}
        for group in self._groups:
            if last / group.interval > _MOST_ROUNDS:
                raise ValueError("runs for too many rounds")
            rounds |= {group.interval * number for number in range(last // group.interval + 1)}
        yield from sorted(rounds)

    def _compared(self, expected: Expected) -> Iterator[str]:
        health = [h.sentence for h in self._engine.health() if h.rule.name == expected.alert and h.kind == "failed"]
        if health:
            yield f"{expected.alert} fails: {health[0]}"
            return
        there = [alert for name, alert in self._engine.alerts() if name.split("/")[0] == expected.alert]
        there = [alert for alert in there if alert.state != "resolved"]
        missing = [said for said in expected.alerts if not _take(there, said)]
        at = f"{expected.alert} at {expected.at}"
        yield from (f"{at}: expected {json.dumps(dict(said), default=str)}" for said in missing)
        yield from (f"{at}: not expected: {alert.state} {json.dumps(dict(alert.labels))}" for alert in there)


def _only(group: Group, names: set[str]) -> Group:
    """The group with the rules of these names, switched on."""
    chosen = tuple(replace(rule, enabled=True) for rule in group.rules if rule.name in names)
    return replace(group, rules=chosen)


def _take(alerts: list[Alert], said: Mapping[str, Any]) -> bool:
    """Remove the alert that is as ``said``; False when there is none."""
    for alert in alerts:
        if _is(alert, said):
            alerts.remove(alert)
            return True
    return False


def _is(alert: Alert, said: Mapping[str, Any]) -> bool:
    pieces = said.get("annotations") or {}
    if any(str(piece) not in alert.annotations.get(name, "") for name, piece in pieces.items()):
        return False
    if said.get("state", "firing") != alert.state:
        return False
    labels = {name: str(value) for name, value in said.items() if name not in ("state", "annotations")}
    return all(alert.labels.get(name, "") == value for name, value in labels.items())


def _start(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _empty(store: Store) -> None:
    for table in store.arrow(_FILLED)["name"].to_list():
        store.command(f"TRUNCATE TABLE otel.`{table}`")


@lru_cache
def _structure(store: Store, table: str) -> dict[str, str]:
    columns = store.arrow(_STRUCTURE, {"table": table})
    if columns.is_empty():
        raise ValueError(f"there is no table {table}")
    return dict(columns.select("name", "type").iter_rows())


def _insert(store: Store, given: Given, start: datetime) -> None:
    """Rows travel as a bound parameter, never as SQL; columns nobody names get their type's default."""
    types = _structure(store, given.table)
    if not given.rows:
        return
    rows = [_row(types, given, row, start, number) for number, row in enumerate(given.rows)]
    structure = ", ".join(f"`{name}` {kind}" for name, kind in types.items())
    store.command(
        f"INSERT INTO otel.`{given.table}` SELECT * FROM format(JSONEachRow, {{structure:String}}, {{rows:String}}) "
        "SETTINGS date_time_input_format = 'best_effort', input_format_null_as_default = 0",
        {"structure": structure, "rows": "\n".join(rows)},
    )


def _row(types: Mapping[str, str], given: Given, row: Mapping[str, Any], start: datetime, number: int) -> str:
    if unknown := sorted(set(row) - set(types)):
        raise ValueError(f"{given.place}: {given.table} has no column {unknown[0]}")
    said = {**_usual(given, row, start, number), **row}
    return json.dumps({name: _value(types[name], value, start) for name, value in said.items()}, default=str)


def _usual(given: Given, row: Mapping[str, Any], start: datetime, number: int) -> dict[str, Any]:
    """What a row of this table has that no test wants to spell out."""
    arrived = (start + given.arrives).isoformat()
    key = f"{given.place.line}-{number}"
    if given.table == "genai_ledger":
        started = row.get("started_at", "0s")
        return {"sign": "1", "status": "ok", "version": str(number), "call_key": key, "posted_at": arrived} | {
            "ended_at": started,
            "observations": "1",
        }
    if given.table == "genai_budget":
        return {"computed_at": arrived, "as_of": arrived, "source": "config", "timezone": "UTC"}
    return {"updated_at": arrived} if given.table == "genai_anomaly" else {}


def _value(kind: str, value: Any, start: datetime) -> Any:
    if value is None or isinstance(value, (bool, Mapping, list)):
        return value
    bare = kind.removeprefix("Nullable(").removeprefix("LowCardinality(")
    if bare.startswith("Date") and not _WRITTEN_OUT.match(str(value)):
        return (start + offset(value)).isoformat()
    if bare.startswith(("Int", "UInt", "Float")):
        return float(value) if "." in str(value) else int(Decimal(str(value)))
    return str(value)
