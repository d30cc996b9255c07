"""`reattribute`: calls as they stand, by the tables of today. Whose they are changes, and nothing else does.

Attribution is a function of the call and the tables (`processors.enrich`), so it is run again on what was *said*: every
entry keeps that (`said`), whatever an earlier table made of it. As in `processors.reprice` nothing is joined anew:
entries may be given in any portions.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import polars as pl

from processors.contract import LEDGER_SCHEMA, MAP, SAID
from processors.enrich import NAMES, OWN
from processors.post import _entries, _versioned, collapse

Enrich = Callable[[pl.DataFrame], pl.DataFrame]


def reattribute(entries: pl.DataFrame, enrich: Enrich, posted_at: datetime) -> pl.DataFrame:
    """Reversals and entries that attribute every standing call of ``entries`` by today's tables.

    Args:
        entries: ledger entries, uncollapsed (contract.LEDGER_SCHEMA).
        enrich: the tables of today.
        posted_at: written on the entries.

    Returns:
        contract.LEDGER_SCHEMA; empty when nothing changed.
    """
    live = collapse(entries)
    if live.is_empty():
        return pl.DataFrame(schema=LEDGER_SCHEMA)
    return _entries(_versioned(enrich(as_said(live)), posted_at), live, posted_at)


def as_said(live: pl.DataFrame) -> pl.DataFrame:
    """Calls as they were joined, before any table: names as the best-ranked observation says them, as in `post`.

    An entry that keeps nothing of what was said (none of ours) keeps its names.
    """
    group = {column.name: column.group for column in SAID}
    heard = live.select("said").with_row_index("@row").explode("said").drop_nulls()
    get = pl.col("said").map.get
    cells = heard.select(
        "@row",
        get("observation_id").alias("@id"),
        *(get(name).alias(name) for name in NAMES),
        *(get(f"rank_{group[name]}").cast(pl.UInt8).alias(f"@rank_{name}") for name in NAMES),
    )
    best = cells.group_by("@row").agg(
        pl.lit(True).alias("@heard"),
        *(pl.col(name).sort_by(f"@rank_{name}", "@id").drop_nulls().first().fill_null("") for name in NAMES),
    )
    known = live.with_row_index("@row").join(best, on="@row", how="left", maintain_order="left", suffix="@said")
    heard_of = pl.col("@heard").fill_null(False)
    return known.with_columns(
        *(pl.when(heard_of).then(f"{name}@said").otherwise(name).alias(name) for name in NAMES),
        *(pl.lit("").alias(name) for name in OWN),
        labels=pl.lit(None, MAP),
    ).select(live.columns)
