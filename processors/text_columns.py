"""The columns of a batch that hold somebody's text, and how to change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import polars as pl

from processors.batch import Batch
from processors.identity_names import IDENTIFIERS, OWN_COLUMNS

Change = Callable[[pl.Series], pl.Series]
Columns = Mapping[str, Sequence[str]]

#: Short texts that name something; which of them a frame has depends on the signal.
NAMES: Final[Columns] = {
    "resources": ("schema_url",),
    "scopes": ("name", "version", "schema_url"),
    "records": ("trace_state", "name", "severity_text", "event_name", "description", "unit"),
    "events": ("name",),
    "links": ("trace_state",),
}
#: Sentences.
FREE_TEXTS: Final[Columns] = {"records": ("status_message", "body")}


def texts(batch: Batch, columns: Columns) -> Iterator[pl.Series]:
    """Those of ``columns`` that the batch has."""
    for frame, names in columns.items():
        rows: pl.DataFrame = getattr(batch, frame)
        yield from (rows[name] for name in names if name in rows.columns)


def changed(batch: Batch, columns: Columns, change: Change) -> Batch:
    """The batch with ``change`` applied to those of ``columns`` that it has."""
    frames = {}
    for frame, names in columns.items():
        rows: pl.DataFrame = getattr(batch, frame)
        frames[frame] = rows.with_columns(change(rows[name]) for name in names if name in rows.columns)
    return batch.with_frames(**frames)


def where(chosen: pl.Series, column: pl.Series, change: Change) -> pl.Series:
    """``column`` with the chosen texts changed."""
    before = column.filter(chosen)
    after = change(before)
    return column if after is before else column.clone().scatter(chosen.arg_true(), after)


def observation_columns(observations: pl.DataFrame, without: Sequence[str] = ()) -> list[str]:
    """Columns of observations that hold text of the sender, plain or in lists."""
    texts_, lists = pl.String, pl.List(pl.String)
    skipped = {*OWN_COLUMNS, *without}
    return [name for name, kind in observations.schema.items() if kind in (texts_, lists) and name not in skipped]


def observation_texts(observations: pl.DataFrame, columns: Sequence[str]) -> Iterator[pl.Series]:
    """The texts of ``columns``, lists unfolded."""
    for name in columns:
        column = observations[name]
        yield column if column.dtype == pl.String else column.explode()


def changed_observations(observations: pl.DataFrame, columns: Sequence[str], change: Change) -> pl.DataFrame:
    """Observations with ``change`` applied to ``columns``, in lists to every element.

    A column that names a call loses a text that changes: a marker in it would make many calls one.
    """
    if observations.is_empty():
        return observations
    return observations.with_columns(_changed_column(observations[name], change) for name in columns)


def _changed_column(column: pl.Series, change: Change) -> pl.Series:
    if column.dtype != pl.String:
        return _changed_lists(column, change)
    after = change(column)
    if after is column or column.name not in IDENTIFIERS:
        return after
    same = pl.DataFrame({"before": column, "after": after})
    return (
        same.select(pl.when(pl.col("before").eq_missing("after")).then("before").otherwise(pl.lit("")))
        .to_series()
        .alias(column.name)
    )


def _changed_lists(column: pl.Series, change: Change) -> pl.Series:
    elements = column.explode().drop_nulls().unique()
    after = change(elements)
    if after is elements:
        return column
    replaced = pl.element().replace(elements.to_list(), after.to_list())
    return column.list.eval(replaced)
