"""Some records of a batch, with everything that hangs on them, numbered anew."""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Batch, moment

_CHILDREN: Final = {"event": "events", "link": "links", "exemplar": "exemplars"}


def subset(batch: Batch, kept: pl.Series) -> Batch:
    """The batch with only those records for which ``kept`` is true; resources, scopes and observations stay."""
    if kept.all():
        return batch
    records, numbers = _renumbered(batch.records.filter(kept), "record")
    frames, levels = {"records": records}, {"record": numbers}
    for level, name in _CHILDREN.items():
        children: pl.DataFrame = getattr(batch, name)
        frames[name], levels[level] = _renumbered(_moved(children, "record", numbers), level)
    owners = pl.concat(
        own.select(
            pl.lit(level, batch.attributes.schema["level"]).alias("level"), pl.col("@old").alias("owner"), "@new"
        )
        for level, own in levels.items()
    )
    attributes = batch.attributes.join(owners, on=["level", "owner"], how="left", maintain_order="left")
    stays = pl.col("level").is_in(["resource", "scope"]) | pl.col("@new").is_not_null()
    attributes = attributes.filter(stays).with_columns(owner=pl.coalesce("@new", "owner"))
    return batch.with_frames(**frames, attributes=attributes.select(batch.attributes.columns))


def _renumbered(rows: pl.DataFrame, index: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows numbered from 0, and their old numbers beside the new ones."""
    new = pl.int_range(pl.len(), dtype=pl.UInt32)
    return rows.with_columns(new.alias(index)), rows.select(pl.col(index).alias("@old"), new.alias("@new"))


def _moved(rows: pl.DataFrame, column: str, numbers: pl.DataFrame) -> pl.DataFrame:
    """Rows whose owner is still there, pointing to its new number."""
    joined = rows.join(numbers, left_on=column, right_on="@old", how="left", maintain_order="left")
    return joined.drop_nulls("@new").with_columns(pl.col("@new").alias(column)).select(rows.columns)


def observed(batch: Batch) -> pl.DataFrame:
    """(record, team, application) of the spans that are observations; nothing else says which observation is whose."""
    started = moment(pl.col("start")).alias("started_at")
    spans = batch.records.select("record", "trace_id", "span_id", started)
    return spans.join(
        batch.observations.select("trace_id", "span_id", "started_at", "team", "application"),
        on=["trace_id", "span_id", "started_at"],
    ).select("record", "team", "application")
