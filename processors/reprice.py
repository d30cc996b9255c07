"""`reprice`: calls as they stand, at today's prices. Money changes, and nothing else does.

What is one call was decided when its observations came, with their neighbours at hand. Pricing again must not decide
it anew from whatever part of the ledger is being read, so nothing is joined here: entries may be given in any portions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from processors.contract import LEDGER_SCHEMA
from processors.post import Price, _entries, _reporter, _versioned, collapse

#: What tells who reported a cost.
_REPORTING: Final = ("cost_reported_usd", "gateway", "rank_cost", "observation_id")


def reprice(entries: pl.DataFrame, price: Price, posted_at: datetime) -> pl.DataFrame:
    """Reversals and entries that give every standing call of ``entries`` today's price.

    Args:
        entries: ledger entries, uncollapsed (contract.LEDGER_SCHEMA).
        price: the price book.
        posted_at: written on the entries.

    Returns:
        contract.LEDGER_SCHEMA; empty when no price changed.
    """
    live = collapse(entries)
    if live.is_empty():
        return pl.DataFrame(schema=LEDGER_SCHEMA)
    calls = price(live.with_columns(reported_by=_reporters(live["said"])))
    return _entries(_versioned(calls, posted_at), live, posted_at)


def _reporters(said: pl.Series) -> pl.Series:
    """Who computed the reported cost of each call, as `post` settles it: the best source that reports one."""
    heard = said.alias("said").to_frame().with_row_index("row").explode("said").drop_nulls()
    cells = heard.select("row", *(pl.col("said").map.get(name).alias(name) for name in _REPORTING))
    best = (
        cells.select("row", pl.col("rank_cost").cast(pl.UInt8), "observation_id", who=_reporter())
        .drop_nulls("who")
        .sort("rank_cost", "observation_id")
        .unique("row", keep="first", maintain_order=True)
    )
    rows = pl.DataFrame({"row": pl.arange(len(said), eager=True, dtype=pl.UInt32)})
    return rows.join(best, on="row", how="left", maintain_order="left")["who"]
