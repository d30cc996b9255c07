"""The checked-in dashboards, and the SQL behind each of their panels, variables and annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import grafana

#: Where `grafana/` keeps its generated JSON.
DIRECTORY: Final = Path(grafana.__file__).with_name("dashboards")
#: What asks: a panel's query, a variable's values, an annotation.
Kind = Literal["panel", "variable", "annotation"]
_ALL: Final = "$__all"


class Unknown(LookupError):
    """There is no such dashboard, panel, variable or annotation."""


@dataclass(frozen=True)
class Dashboard:
    """One dashboard of the pack, as Grafana reads it."""

    model: Mapping[str, Any]

    @property
    def uid(self) -> str:
        """Its address: ``/d/<uid>``."""
        return str(self.model["uid"])

    @cached_property
    def queries(self) -> Mapping[tuple[Kind, str], str]:
        """SQL with macros: by panel id and ref (``12:A``), by name of variable or annotation."""
        return dict(self._queries())

    def _queries(self) -> Iterator[tuple[tuple[Kind, str], str]]:
        for panel in panels(self.model["panels"]):
            for target in panel.get("targets", ()):
                yield ("panel", f"{panel['id']}:{target['refId']}"), target["rawSql"]
        for variable in self.variables:
            if variable["type"] == "query":
                yield ("variable", variable["name"]), variable["query"]["rawSql"]
        for annotation in self.model.get("annotations", {}).get("list", ()):
            if "rawSql" in annotation.get("target", {}):
                yield ("annotation", annotation["name"]), annotation["target"]["rawSql"]

    @property
    def variables(self) -> Sequence[Mapping[str, Any]]:
        """Its variables but for the data source, of which there is one here."""
        return [each for each in self.model["templating"]["list"] if each["type"] != "datasource"]

    def chosen(self, said: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
        """A value for every variable: what was said, "all", or what it begins with.

        Raises:
            Unknown: a variable of a fixed list was given another value.
        """
        return {variable["name"]: _value(variable, said.get(variable["name"])) for variable in self.variables}


def _value(variable: Mapping[str, Any], said: str | list[str] | None) -> str | list[str]:
    if variable["type"] == "custom":
        allowed = [part.rpartition(" : ")[2].strip() for part in variable["query"].split(",")]
        if said is not None and said not in allowed:
            raise Unknown(f"{variable['name']} cannot be that")
        return said or allowed[0]
    if said:
        return said
    return _ALL if variable.get("includeAll") else ""


def panels(listed: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Panels, those inside collapsed rows too."""
    for panel in listed:
        yield panel
        yield from panels(panel.get("panels") or ())


class Dashboards:
    """Every dashboard of the pack, in the order of its menu."""

    def __init__(self, directory: Path) -> None:
        models = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(directory.glob("*.json"))]
        self._by_uid = {model["uid"]: Dashboard(model) for model in models}

    def __iter__(self) -> Iterator[Dashboard]:
        return iter(self._by_uid.values())

    def __getitem__(self, uid: str) -> Dashboard:
        """Raises Unknown."""
        if uid not in self._by_uid:
            raise Unknown("there is no such dashboard")
        return self._by_uid[uid]
