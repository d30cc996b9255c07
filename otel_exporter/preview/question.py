"""What a page may ask: a query that a dashboard holds, over a time range, with variables. Never SQL of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from grafana.macros import Window, expand
from otel_exporter.preview.dashboards import Dashboards, Kind, Unknown


class Malformed(ValueError):
    """The question cannot be read."""


@dataclass(frozen=True)
class Question:
    """One query of one dashboard."""

    uid: str
    kind: Kind
    name: str
    window: Window
    variables: Mapping[str, str | list[str]]

    def sql(self, dashboards: Dashboards) -> str:
        """The SQL for ClickHouse.

        Raises:
            Unknown: no dashboard asks this.
            MacroError: the dashboard's query uses a macro that is not known here.
        """
        dashboard = dashboards[self.uid]
        if (self.kind, self.name) not in dashboard.queries:
            raise Unknown("the dashboard has no such query")
        return expand(dashboard.queries[self.kind, self.name], self.window, dashboard.chosen(self.variables))


def question(said: Any) -> Question:
    """Read ``{"uid", "kind", "name", "from", "to", "interval", "variables"}``; times in ms, the interval in seconds.

    Raises:
        Malformed: it is not that.
    """
    try:
        start, end = (datetime.fromtimestamp(said[name] / 1000, UTC) for name in ("from", "to"))
        variables = {str(name): _texts(value) for name, value in said.get("variables", {}).items()}
        window = Window(start, end, max(1, int(said.get("interval", 60))))
        return Question(str(said["uid"]), said["kind"], str(said["name"]), window, variables)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, OSError):
        raise Malformed("the question cannot be read") from None


def _texts(value: Any) -> str | list[str]:
    return [str(each) for each in value] if isinstance(value, list) else str(value)
