"""An observation as the map the ledger keeps (`said`), and back: the ledger can compute any join again."""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.contract import ENVELOPE, MAP, MOMENT, OBSERVATION_SCHEMA, TEXTS

_BETWEEN: Final = "\x1f"  # unit separator: never in an id, tag or model name


def pack(observations: pl.DataFrame) -> pl.DataFrame:
    """Observations with a column ``said``: every non-empty value as text."""
    texts = observations.select(
        pl.int_range(pl.len()).alias("@row"),
        *(_as_text(name, dtype).alias(name) for name, dtype in OBSERVATION_SCHEMA.items()),
    )
    cells = texts.unpivot(index="@row", variable_name="key", value_name="value").filter(
        pl.col("value").is_not_null() & (pl.col("value") != "")
    )
    maps = cells.group_by("@row").agg(pl.struct("key", "value").alias("said")).sort("@row")
    return observations.with_columns(maps["said"].cast(MAP))


def unpack(said: pl.Series) -> pl.DataFrame:
    """The observations of a series of ``said`` maps."""
    frame = said.alias("said").to_frame()
    return frame.select(
        _from_text(pl.col("said").map.get(name), dtype, never_null=name in ENVELOPE).alias(name)
        for name, dtype in OBSERVATION_SCHEMA.items()
    )


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == TEXTS:
        return pl.col(name).list.join(_BETWEEN)
    if dtype == MOMENT:
        return pl.col(name).cast(pl.Int64).cast(pl.String)
    return pl.col(name).cast(pl.String)


def _from_text(text: pl.Expr, dtype: pl.DataType, *, never_null: bool) -> pl.Expr:
    if dtype == TEXTS:
        return text.str.split(_BETWEEN).fill_null(pl.lit([], TEXTS))
    if dtype == MOMENT:
        return text.cast(pl.Int64).cast(MOMENT)
    if dtype == pl.Boolean:
        return text == "true"
    if dtype == pl.String:
        return text.fill_null("") if never_null else text
    return text.cast(dtype)
