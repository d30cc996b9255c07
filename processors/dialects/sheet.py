"""The sheet: a batch's records as one wide frame of just the names that dialects ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import polars as pl

from processors.batch import Batch, Signal

#: Attribute keys whose columns are remembered: keys are few, but a sender may make them up.
_KEYS_KEPT: Final = 20_000
_SPAN_FIELDS: Final = {
    "@name": pl.col("name"),
    "@kind": pl.col("kind"),
    "@status": pl.col("status_code"),
    "@status_message": pl.col("status_message"),
    "@trace_id": pl.col("trace_id"),
    "@span_id": pl.col("span_id"),
    "@parent_span_id": pl.col("parent_span_id"),
    "@start": pl.col("start"),
    "@end": pl.col("end"),
    "@event_name": pl.lit(None, pl.String),
    "@body": pl.lit(None, pl.String),
}
_LOG_FIELDS: Final = {
    "@name": pl.col("event_name"),
    "@kind": pl.lit(None, pl.Int32),
    "@status": pl.lit(None, pl.Int32),
    "@status_message": pl.lit(None, pl.String),
    "@trace_id": pl.col("trace_id"),
    "@span_id": pl.col("span_id"),
    "@parent_span_id": pl.lit("", pl.String),
    "@start": pl.when(pl.col("time") > 0).then("time").otherwise("observed"),
    "@end": pl.when(pl.col("time") > 0).then("time").otherwise("observed"),
    "@event_name": pl.col("event_name"),
    "@body": pl.when(pl.col("body_type") == "string").then("body"),
}


class Sheet:
    """Builds sheets with a fixed set of columns; all the work that can be done once is done here."""

    def __init__(self, names: Iterable[str]) -> None:
        wanted = {name for name in names if not name.startswith("@")}
        self._resource = {name for name in wanted if name.startswith("resource:")}
        self._events = {name for name in wanted if name.startswith(("event:", "event_time:"))}
        self._records = wanted - self._events - self._resource
        self._attributes = {name for name in self._records if "*" not in name}
        wild = {name.removesuffix("@") for name in self._records if "*" in name}
        self._patterns = {name: re.compile(_pattern(name)) for name in sorted(wild)}
        self._cells = pl.Enum(sorted(self._attributes | self._events | wild | {f"{name}@" for name in wild}))
        self._absent = {name: pl.lit(None, pl.String).alias(name) for name in sorted(wanted)}
        self._filled = lru_cache(_KEYS_KEPT)(self._fills)

    def __call__(self, batch: Batch) -> pl.DataFrame:
        """One row per record that carries at least one of the wanted attributes or events."""
        cells = self._record_cells(batch)
        if self._events and batch.events.height:
            cells = pl.concat([cells, self._event_cells(batch)])
        wide = _pivot(cells, "record")
        fields = _SPAN_FIELDS if batch.signal is Signal.TRACES else _LOG_FIELDS
        head = batch.records.join(wide.select("record"), on="record", how="semi", maintain_order="left")
        scopes = batch.scopes.select("scope", pl.col("name").alias("@scope"), pl.col("version").alias("@scope_version"))
        head = head.select("record", "resource", "scope", **fields)
        head = head.join(scopes, on="scope", how="left", maintain_order="left")
        head = head.join(self._resources(batch), on="resource", how="left", maintain_order="left")
        sheet = head.join(wide, on="record", how="inner", maintain_order="left")
        there = set(sheet.columns)
        return sheet.with_columns(absent for name, absent in self._absent.items() if name not in there)

    def _record_cells(self, batch: Batch) -> pl.DataFrame:
        """(record, name, value) of the wanted attributes, wildcard ones under their pattern."""
        attributes = batch.attributes.filter(pl.col("level") == "record")
        names = self._names_of(attributes["key"].unique())
        star = pl.col("star").is_not_null()
        return attributes.join(names, on="key", how="inner", maintain_order="left").select(
            record="owner", name="name", value=pl.when(star).then("star").otherwise("value")
        )

    def _names_of(self, keys: pl.Series) -> pl.DataFrame:
        """(key, name, star): the sheet columns each distinct key fills; ``star`` is a value of its own."""
        rows = [row for key in keys for row in self._filled(key)]
        return pl.DataFrame(rows, {"key": pl.String, "name": self._cells, "star": pl.String}, orient="row")

    def _fills(self, key: str) -> list[tuple[str, str, str | None]]:
        """What one key fills: its own column, and for every pattern it fits one with its value, one with its star."""
        found: list[tuple[str, str, str | None]] = [(key, key, None)] if key in self._attributes else []
        for name, pattern in self._patterns.items():
            if (fits := pattern.fullmatch(key)) is not None:
                found += [(key, name, None), (key, f"{name}@", fits[1])]
        return found

    def _event_cells(self, batch: Batch) -> pl.DataFrame:
        keys = {name.split(":", 2)[2] for name in self._events if name.startswith("event:")}
        times = batch.events.select("record", name="event_time:" + pl.col("name"), value=pl.col("time").cast(pl.String))
        attributes = batch.attributes.filter((pl.col("level") == "event") & pl.col("key").is_in(keys))
        said = attributes.join(batch.events, left_on="owner", right_on="event", how="inner", maintain_order="left")
        said = said.select("record", name="event:" + pl.col("name") + ":" + pl.col("key"), value="value")
        wanted = pl.concat([times, said]).filter(pl.col("name").is_in(self._events))
        return wanted.with_columns(pl.col("name").cast(self._cells))

    def _resources(self, batch: Batch) -> pl.DataFrame:
        keys = {name.removeprefix("resource:") for name in self._resource}
        attributes = batch.attributes.filter((pl.col("level") == "resource") & pl.col("key").is_in(keys))
        cells = attributes.select(pl.col("owner").alias("resource"), name="resource:" + pl.col("key"), value="value")
        return _pivot(cells, "resource")


def _pivot(cells: pl.DataFrame, index: str) -> pl.DataFrame:
    """Cells to columns. The first cell of a name wins."""
    if cells.is_empty():
        return cells.select(index)
    return cells.pivot(on="name", index=index, values="value", aggregate_function="first", maintain_order=True)


def _pattern(name: str) -> str:
    """The regular expression of a name with one star; the star is one part between dots."""
    return "([^.]+)".join(re.escape(part) for part in name.split("*"))
