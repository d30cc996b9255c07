"""A dashboard: what all of this pack have in common, and what a module of `boards` adds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana import events, variables
from grafana.query import PLUGIN
from grafana.sql import FILTERS

TAG: Final = "tokentide"
SCHEMA_VERSION: Final = 42
_WIDTH: Final = 24


@dataclass(frozen=True)
class Board:
    """One dashboard. ``panels`` holds rows and panels in reading order."""

    name: str
    title: str
    text: str
    panels: Sequence[Any]
    variables: Sequence[Any] = ()
    filters: Sequence[str] = FILTERS
    since: str = "now-30d"
    until: str = "now"
    refresh: str = "5m"
    annotated: bool = True

    @property
    def uid(self) -> str:
        """Its address in Grafana."""
        return f"tokentide-{self.name}"


def as_json(board: Board) -> str:
    """The dashboard as Grafana's provisioning reads it."""
    made = _dashboard(board).build()
    text = json.dumps(made, cls=JSONEncoder, sort_keys=True)
    return json.dumps(_finished(json.loads(text)), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(board: Board) -> build.Dashboard:
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time(board.since, board.until)
        .refresh(board.refresh)
        .link(
            build.DashboardLink("Tokentide")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in (variables.datasource(), *map(variables.chooser, board.filters), *board.variables):
        made = made.with_variable(variable)
    for annotation in events.all_of_them() if board.annotated else ():
        made = made.annotation(annotation)
    for panel in board.panels:
        made = made.with_row(panel) if isinstance(panel, build.Row) else made.with_panel(panel)
    return made


def _finished(made: dict[str, Any]) -> dict[str, Any]:
    """What the SDK does not say, or says of newer Grafanas only."""
    made["schemaVersion"] = SCHEMA_VERSION
    for link in made["links"]:
        link.pop("placement", None)  # "in the menu of controls" would hide the list of dashboards
    _arrange(made["panels"])
    for number, panel in enumerate(made["panels"], 1):
        panel["id"] = number
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", []):
            for name in set(link) - {"title", "url", "targetBlank"}:
                link.pop(name)
        if panel["type"] != "row":
            panel.setdefault("datasource", {"type": PLUGIN, "uid": "${datasource}"})
    return made


def _arrange(panels: list[dict[str, Any]]) -> None:
    """Left to right in lines of 24, in reading order; the SDK lets a panel that no longer fits run over the edge."""
    x = y = tallest = 0
    for panel in panels:
        place = panel["gridPos"]
        if panel["type"] == "row":
            place |= {"w": _WIDTH, "h": 1}
        if x + place["w"] > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place |= {"x": x, "y": y}
        x, tallest = x + place["w"], max(tallest, place["h"])
