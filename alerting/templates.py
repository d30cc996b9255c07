"""Templates of annotations: Jinja2 in its sandbox, with ``$row``, ``$labels``, ``$value`` as rule files write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alerting.durations import spelled

_DOLLAR: Final = re.compile(r"\$(row|labels|value|now)\b")
#: Characters of one annotation: more than anyone reads, less than hurts.
LONGEST: Final = 4096
UNKNOWN: Final = "unknown"


class BadTemplate(Exception):
    """The template cannot be used; the text says why."""


@dataclass(frozen=True)
class Links:
    """Where alerts point to: addresses in front of dashboards and of the page on alerts."""

    grafana: str = ""
    runbooks: str = "docs/alerts.md"

    def dashboard(self, board: str, since: datetime, until: datetime, values: Mapping[str, Any]) -> str:
        """The address of a dashboard with its time and variables set; '' when nobody said where Grafana is."""
        if not self.grafana:
            return ""
        time = {"from": int(since.timestamp() * 1000), "to": int(until.timestamp() * 1000)}
        chosen = {f"var-{name}": value for name, value in values.items() if value not in (None, "")}
        return f"{self.grafana.rstrip('/')}/d/tokentide-{board}?{urlencode(time | chosen)}"

    def runbook(self, alert: str) -> str:
        """The address of an alert's section."""
        return f"{self.runbooks}#{alert.lower()}"


class Fields:
    """A mapping whose names are its only attributes: a column may be called ``items``."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(name)
        return self._values[name]

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


@dataclass(frozen=True)
class Context:
    """What a template can speak of."""

    alert: str
    row: Mapping[str, Any]
    labels: Mapping[str, str]
    value: float
    now: datetime
    links: Links = field(default_factory=Links)

    def variables(self) -> dict[str, Any]:
        """The names of the template."""
        return {
            "row": Fields(self.row),
            "labels": Fields(self.labels),
            "value": self.value,
            "now": self.now,
            "runbook_url": self.links.runbook(self.alert),
            "dashboard": self._dashboard,
        }

    def _dashboard(self, board: str, last: str = "24h", **values: Any) -> str:
        from alerting.durations import duration

        return self.links.dashboard(board, self.now - duration(last), self.now, values)


@dataclass(frozen=True)
class Template:
    """One compiled template."""

    text: str
    _render: Callable[[Mapping[str, Any]], str] = field(repr=False, compare=False)
    #: (``row`` or ``labels``, name) of everything it speaks of.
    names: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)

    def __call__(self, context: Context) -> str:
        """The text for one row. What cannot be rendered says so instead of failing the alert, as in Prometheus."""
        try:
            return self._render(context.variables()).strip()[:LONGEST]
        except Exception as error:  # a template is the user's: whatever goes wrong is a text in the annotation
            return f"<template failed: {type(error).__name__}>"


def template(text: str) -> Template:
    """Compile ``text``.

    Raises:
        BadTemplate: it cannot be read, or speaks of a variable or filter there is not.
    """
    source = _DOLLAR.sub(r"\1", text)
    try:
        tree = _JINJA.parse(source)
        compiled = _JINJA.from_string(source)
    except TemplateError as error:
        raise BadTemplate(str(error)) from None
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name not in _KNOWN and name.name not in _stored(tree):
            raise BadTemplate(f"there is no variable {name.name}: there are {', '.join(sorted(_KNOWN))}")
    return Template(text, compiled.render, frozenset(_spoken_of(tree)))


def _stored(tree: nodes.Template) -> set[str]:
    return {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}


def _spoken_of(tree: nodes.Template) -> Iterator[tuple[str, str]]:
    for part in tree.find_all(nodes.Getattr):
        if isinstance(part.node, nodes.Name) and part.node.name in ("row", "labels"):
            yield part.node.name, part.attr


def usd(amount: Any) -> str:
    """Dollars for people: two decimals, more below a cent."""
    if amount is None:
        return UNKNOWN
    number = Decimal(str(amount))
    if number and abs(number) < Decimal("0.01"):
        return f"${number:.6f}"
    return f"-${-number:,.2f}" if number < 0 else f"${number:,.2f}"


def number(value: Any, digits: int = 1) -> str:
    """A number without needless decimals."""
    if value is None:
        return UNKNOWN
    return f"{float(value):,.{digits}f}".removesuffix("." + "0" * digits)


def percent(share: Any, digits: int = 0) -> str:
    """A share (0 to 1) in percent."""
    return UNKNOWN if share is None else f"{float(share) * 100:.{digits}f} %"


def lasting(seconds: Any) -> str:
    """Seconds as ``3h 20m``."""
    return UNKNOWN if seconds is None else spelled(timedelta(seconds=float(seconds)))


def clock(moment: Any) -> str:
    """A moment in UTC, to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if isinstance(moment, datetime) else UNKNOWN


_KNOWN: Final = frozenset({"row", "labels", "value", "now", "runbook_url", "dashboard"})
_JINJA: Final = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
_JINJA.filters |= {"usd": usd, "number": number, "percent": percent, "lasting": lasting, "clock": clock}
_JINJA.globals.clear()
