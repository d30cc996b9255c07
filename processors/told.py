"""`told`: log records that are rows of our own tables, as importers and comparisons send them.

What such a command finds out enters by the same door as everything else: the same credential decides the tenant, the
same policies clean the texts, the same spool keeps it. The record's event name is ``tokentide.<table>``; its attributes
are ``tokentide.<column>``, except where the column names a person: those are ``user.id`` and ``user.name``, so that
`identity: hash` reaches them.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Batch, Signal, moment
from processors.contract import MOMENT
from processors.dialects.sheet import Sheet
from processors.landing import GENAI_AGREEMENT, GENAI_LIMITS, GENAI_NAMES

PREFIX: Final = "tokentide."
#: table -> its columns, and the one that is the time of the record.
TABLES: Final[dict[str, tuple[pl.Schema, str]]] = {
    "genai_names": (GENAI_NAMES, "imported_at"),
    "genai_limits": (GENAI_LIMITS, "observed_at"),
    "genai_agreement": (GENAI_AGREEMENT, "compared_at"),
}
#: Column -> attributes, the first that is there; others have one attribute of their own name.
_PEOPLE: Final = {"id": "user.id", "name": "user.name", "alias": "user.name"}


def _attributes(column: str) -> tuple[str, ...]:
    if column == "user_id":
        return ("user.id",)
    return (PREFIX + column, _PEOPLE[column]) if column in _PEOPLE else (PREFIX + column,)


_SHEET: Final = Sheet(
    {"@event_name", *(name for columns, _ in TABLES.values() for column in columns for name in _attributes(column))}
)


def told(batch: Batch) -> dict[str, pl.DataFrame]:
    """Table -> the rows that records of this batch are."""
    if batch.signal is not Signal.LOGS or not batch.records["event_name"].str.starts_with(PREFIX).any():
        return {}
    sheet = _SHEET(batch)
    return {table: _rows(sheet, batch.tenant, table) for table in TABLES}


def _rows(sheet: pl.DataFrame, tenant: str, table: str) -> pl.DataFrame:
    columns, time = TABLES[table]
    given = {"tenant": pl.lit(tenant), time: moment(pl.col("@end")), "trace_id": pl.lit(""), "span_id": pl.lit("")}
    chosen = sheet.filter(pl.col("@event_name") == PREFIX + table)
    return chosen.select(
        (given[name] if name in given else _value(name, dtype)).cast(dtype).alias(name)
        for name, dtype in columns.items()
    )


def _value(name: str, dtype: pl.DataType) -> pl.Expr:
    text = pl.coalesce(_attributes(name))
    if dtype == MOMENT:
        return text.cast(pl.Int64, strict=False).cast(MOMENT)
    return text.fill_null("") if dtype == pl.String else text.cast(dtype, strict=False)
