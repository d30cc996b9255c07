"""Rule files: Prometheus' groups with SQL as ``expr``. A wrong rule is refused by name and line, the others stand."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from alerting import rules, trial_files
from alerting.durations import duration
from alerting.lines import Lined, read
from alerting.rules import Fault, Group, Guard, Place, Rule, RuleFile
from alerting.suppression import Suppression, suppression
from alerting.templates import BadTemplate, Template, template

_T = TypeVar("_T")
_ALERT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: What Alertmanager of every age takes as the name of a label.
LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = ("alertname", "severity")
_RULE_KEYS: Final = (
    "alert", "expr", "for", "keep_firing_for", "severity", "labels", "annotations", "min_usd", "min_calls", "enabled",
    "even_when_stalled", "guard", "replay", "suppress",
)  # fmt: skip
_GROUP_KEYS: Final = ("name", "interval", "limit", "rules")


def builtin() -> list[RuleFile]:
    """The rules that come with the package."""
    folder = Path(str(resources.files("alerting") / "builtin"))
    return [load(file) for file in sorted(folder.glob("*.yaml"))]


def load(file: Path) -> RuleFile:
    """Read one rule file."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        why = f"cannot be read: {os.strerror(error.errno or 0)}"
        return RuleFile(file, faults=(Fault(Place(file, 1), "", why),))
    except UnicodeDecodeError:
        return RuleFile(file, faults=(Fault(Place(file, 1), "", "must be UTF-8 text"),))
    return parse(file, text)


def parse(file: Path, text: str) -> RuleFile:
    """The rules, tests and mistakes in ``text``, which is what ``file`` holds."""
    root, faults = read(file, text)
    if faults:
        return RuleFile(file, faults=tuple(faults))
    if not isinstance(root, Lined):
        return RuleFile(file, faults=(Fault(Place(file, 1), "", "must be a mapping with `groups:`"),))
    reader = _Reader(file)
    groups = tuple(reader.groups(root))
    cases, wrong = trial_files.trials(file, root)
    return RuleFile(file, groups, cases, (*reader.faults, *wrong))


class _Wrong(Exception):
    """One key of a rule cannot be used."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key
        self.sentence = sentence


class _Reader:
    """Walks one file; remembers faults instead of stopping at the first."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.faults: list[Fault] = []

    def groups(self, root: Lined) -> Iterator[Group]:
        self._unknown(root, ("groups", "tests"), "")
        seen: set[str] = set()
        for said in self._list(root, "groups"):
            group = self._group(said)
            if group is not None and group.name in seen:
                self._fault(said.line, "", f"the group {group.name} appears twice")
            elif group is not None:
                seen.add(group.name)
                yield group

    def _group(self, said: Lined) -> Group | None:
        self._unknown(said, _GROUP_KEYS, "")
        name = str(said.get("name") or "")
        try:
            if not name:
                raise _Wrong("name", "a group needs a name")
            interval = _read(said, "interval", duration, timedelta(minutes=1))
            if interval < timedelta(seconds=1):
                raise _Wrong("interval", "must be at least 1s")
            limit = _read(said, "limit", _count, rules.LIMIT) or rules.LIMIT
        except _Wrong as wrong:
            self._fault(said.lines.get(wrong.key, said.line), "", f"group {name}: {wrong.key}: {wrong.sentence}")
            return None
        return Group(name, Place(self._file, said.line), tuple(self._rules(said)), interval, limit)

    def _rules(self, group: Lined) -> Iterator[Rule]:
        for said in self._list(group, "rules"):
            name = str(said.get("alert") or "")
            try:
                before = len(self.faults)
                self._unknown(said, _RULE_KEYS, name)
                rule = _rule(said, Place(self._file, said.lines.get("alert", said.line)))
                if len(self.faults) == before:
                    yield rule
            except _Wrong as wrong:
                self._fault(said.lines.get(wrong.key, said.line), name, f"{wrong.key}: {wrong.sentence}")

    def _list(self, said: Lined, key: str) -> Iterator[Lined]:
        items = said.get(key) or []
        if not isinstance(items, list):
            self._fault(said.lines[key], "", f"{key} must be a list")
            return
        for item in items:
            if isinstance(item, Lined):
                yield item
            else:
                self._fault(said.lines[key], "", f"every item of {key} must be a mapping")

    def _unknown(self, said: Lined, known: Iterable[str], rule: str) -> None:
        for key in said:
            if key not in known:
                self._fault(said.lines[key], rule, f"unknown key {key}")

    def _fault(self, line: int, rule: str, sentence: str) -> None:
        self.faults.append(Fault(Place(self._file, line), rule, sentence))


def _rule(said: Lined, place: Place) -> Rule:
    name = str(said.get("alert") or "")
    if not _ALERT.fullmatch(name):
        raise _Wrong("alert", "a rule needs a name of letters, digits and underscores")
    expr = said.get("expr")
    if not isinstance(expr, str) or not expr.strip():
        raise _Wrong("expr", "is required: one SELECT with a column named value")
    return Rule(
        name=name,
        expr=expr.strip(),
        place=place,
        severity=_read(said, "severity", _severity, "warning"),
        labels=_read(said, "labels", _labels, ()),
        wait=_read(said, "for", duration, timedelta(0)),
        keep_firing_for=_read(said, "keep_firing_for", duration, timedelta(0)),
        min_usd=_read(said, "min_usd", _money, Decimal(0)),
        min_calls=_read(said, "min_calls", _count, 0),
        enabled=_read(said, "enabled", _flag, True),
        even_when_stalled=_read(said, "even_when_stalled", _flag, False),
        guard=_read(said, "guard", _guard, None),
        replay=_read(said, "replay", _sql, ""),
        suppress=_read(said, "suppress", _suppressions, ()),
        annotations=_read(said, "annotations", _annotations, {}),
    )


def _read(said: Mapping[str, Any], key: str, read_as: Callable[[Any], _T], default: _T) -> _T:
    if said.get(key) is None:
        return default
    try:
        return read_as(said[key])
    except (ValueError, TypeError) as error:
        raise _Wrong(key, str(error)) from None


def _severity(said: object) -> str:
    if said not in rules.SEVERITIES:
        raise ValueError(f"must be one of {', '.join(rules.SEVERITIES)}, not {said!r}")
    return str(said)


def _labels(said: object) -> tuple[str, ...]:
    if not isinstance(said, list):
        raise ValueError("must be a list of columns such as [team, budget]")
    names = [str(name) for name in said]
    for name in names:
        if not LABEL.fullmatch(name) or name in _RESERVED:
            raise ValueError(f"{name!r} cannot be a label: letters, digits, underscores, and not {_RESERVED}")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{min(twice)} appears twice")
    return tuple(names)


def _money(said: object) -> Decimal:
    try:
        amount = Decimal(str(said))
    except InvalidOperation:
        raise ValueError(f"must be an amount in dollars, not {said!r}") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("must be 0 or more")
    return amount


def _count(said: object) -> int:
    if not str(said).isdecimal():
        raise ValueError(f"must be a whole number, not {said!r}")
    return int(str(said))


def _flag(said: object) -> bool:
    if not isinstance(said, bool):
        raise ValueError("must be true or false")
    return said


def _sql(said: object) -> str:
    if not isinstance(said, str):
        raise ValueError("must be one SELECT with columns since and until")
    return said.strip()


def _guard(said: object) -> Guard:
    if not isinstance(said, Mapping) or set(said) != {"expr", "max_age"}:
        raise ValueError("must be {expr: SELECT max(...) AS newest FROM ..., max_age: 3h}")
    return Guard(str(said["expr"]).strip(), duration(said["max_age"]))


def _suppressions(said: object) -> tuple[Suppression, ...]:
    if not isinstance(said, list) or not all(isinstance(one, Mapping) for one in said):
        raise ValueError("must be a list of windows such as {weekdays: [sat, sun]}")
    return tuple(suppression(one) for one in said)


def _annotations(said: object) -> dict[str, Template]:
    if not isinstance(said, Mapping):
        raise ValueError("must be a mapping of templates")
    made = {}
    for name, text in said.items():
        if not LABEL.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of an annotation")
        try:
            made[name] = template(str(text or ""))
        except BadTemplate as bad:
            raise ValueError(f"{name}: {bad}") from None
    return made


def combined(files: Iterable[RuleFile], changes: Mapping[str, Mapping[str, Any]]) -> tuple[list[Group], list[Fault]]:
    """The groups of all files. A user's rule takes the place of a built-in one of the same name.

    ``files`` come in rising priority. ``changes`` are the configuration's words on rules by name: ``enabled``,
    ``min_usd``, ``min_calls``. Rules with the same name and severity in one file, and groups of the same name, are
    faults.
    """
    files, faults = list(files), [fault for file in files for fault in file.faults]
    latest = {rule.name: file.file for file in files for group in file.groups for rule in group.rules}
    groups: list[Group] = []
    seen: set[str] = set()
    for file in files:
        for group in file.groups:
            kept = []
            for rule in group.rules:
                if latest[rule.name] != file.file:
                    continue
                if rule.id in seen:
                    faults.append(Fault(rule.place, rule.name, f"is there twice with severity {rule.severity}"))
                    continue
                seen.add(rule.id)
                kept.append(replace(rule, **changes.get(rule.name, {})))
            groups.append(replace(group, rules=tuple(kept)))
    for name in sorted(set(changes) - set(latest)):
        faults.append(Fault(Place(Path("configuration"), 0), name, "there is no such rule to change"))
    return groups, faults
