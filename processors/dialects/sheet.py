"""The sheet: a batch's records as one wide frame of just the names that dialects ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import polars as pl

from processors.batch import Batch, Signal

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
        self._resource = {name.removeprefix("resource:") for name in wanted if name.startswith("resource:")}
        self._events = {name for name in wanted if name.startswith(("event:", "event_time:"))}
        self._records = wanted - self._events - {f"resource:{key}" for key in self._resource}
        wild = {name.removesuffix("@") for name in self._records if "*" in name}
        self._patterns = {name: _pattern(name) for name in sorted(wild)}
        self._attributes = {name for name in self._records if "*" not in name}

    def __call__(self, batch: Batch) -> pl.DataFrame:
        """One row per record that carries at least one of the wanted attributes or events."""
        cells = pl.concat([self._record_cells(batch), self._event_cells(batch)])
        fields = _SPAN_FIELDS if batch.signal is Signal.TRACES else _LOG_FIELDS
        scopes = batch.scopes.select("scope", pl.col("name").alias("@scope"), pl.col("version").alias("@scope_version"))
        head = batch.records.select("record", "resource", "scope", **fields).join(scopes, on="scope", how="left")
        wide = _pivot(cells, "record", self._records | self._events)
        sheet = head.join(wide, on="record", how="inner", maintain_order="left")
        return sheet.join(self._resources(batch), on="resource", how="left", maintain_order="left")

    def _record_cells(self, batch: Batch) -> pl.DataFrame:
        """(record, name, value) of the wanted attributes, wildcard ones under their pattern."""
        attributes = batch.attributes.filter(pl.col("level") == "record").select("owner", "key", "value")
        keys = attributes.select(pl.col("key").unique())
        plain = attributes.filter(pl.col("key").is_in(keys.filter(pl.col("key").is_in(self._attributes))["key"]))
        cells = [_cells(plain, pl.col("key"), pl.col("value"))]
        for name, pattern in self._patterns.items():
            matching = keys.filter(pl.col("key").str.contains(pattern))["key"]
            if matching.is_empty():
                continue
            hits = attributes.filter(pl.col("key").is_in(matching))
            cells.append(_cells(hits, pl.lit(name), pl.col("value")))
            cells.append(_cells(hits, pl.lit(f"{name}@"), pl.col("key").str.extract(pattern, 1)))
        return pl.concat(cells)

    def _event_cells(self, batch: Batch) -> pl.DataFrame:
        times = batch.events.select("record", name="event_time:" + pl.col("name"), value=pl.col("time").cast(pl.String))
        keys = {name.split(":", 2)[2] for name in self._events if name.startswith("event:")}
        attributes = batch.attributes.filter((pl.col("level") == "event") & pl.col("key").is_in(list(keys)))
        said = attributes.join(batch.events, left_on="owner", right_on="event", how="inner").select(
            "record", name="event:" + pl.col("name") + ":" + pl.col("key"), value="value"
        )
        return pl.concat([times, said]).filter(pl.col("name").is_in(list(self._events)))

    def _resources(self, batch: Batch) -> pl.DataFrame:
        attributes = batch.attributes.filter(
            (pl.col("level") == "resource") & pl.col("key").is_in(list(self._resource))
        )
        cells = attributes.select(pl.col("owner").alias("resource"), name="resource:" + pl.col("key"), value="value")
        wide = _pivot(cells, "resource", {f"resource:{key}" for key in self._resource})
        return batch.resources.select("resource").join(wide, on="resource", how="left")


def _cells(attributes: pl.DataFrame, name: pl.Expr, value: pl.Expr) -> pl.DataFrame:
    return attributes.select(pl.col("owner").alias("record"), name.alias("name"), value.alias("value"))


def _pivot(cells: pl.DataFrame, index: str, names: set[str]) -> pl.DataFrame:
    """Cells to columns; a name nobody carries becomes a column of nulls. The first cell of a name wins."""
    wide = (
        cells.pivot(on="name", index=index, values="value", aggregate_function="first", maintain_order=True)
        if cells.height
        else cells.select(index)
    )
    missing = sorted(names - set(wide.columns))
    return wide.select(index, *sorted(names & set(wide.columns))).with_columns(
        pl.lit(None, pl.String).alias(name) for name in missing
    )


def _pattern(name: str) -> str:
    """The regular expression of a name with one star; the star is one part between dots."""
    return "^" + "([^.]+)".join(re.escape(part) for part in name.split("*")) + "$"
