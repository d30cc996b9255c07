"""`reconcile`: mends a ledger that two writers posted to at the same time (DESIGN 5).

One writer per store is the rule. Should two ever race, each reverses an entry the other has reversed too, or both post
their own version of a call. A key is broken when, per (tenant, call_key, version), the signs sum to something other
than 0 or 1, or when more than one version stands. (`HAVING sum(sign) > 1` per key does not see a double reversal beside
a double entry.) A call is also broken when two standing calls share an identity key: each writer saw one side of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from processors.contract import LEDGER_COLUMNS, LEDGER_SCHEMA, OBSERVATION_SCHEMA
from processors.post import REPAIRS, Price, post
from processors.said import unpack

_ENTRY: Final = ["tenant", "call_key", "version"]
_CALL: Final = ["tenant", "call_key"]


def broken(entries: pl.DataFrame) -> pl.DataFrame:
    """(tenant, call_key) of the keys whose entries do not add up to one call."""
    nets = _nets(entries)
    return (
        nets.group_by(_CALL)
        .agg((~pl.col("net").is_in([0, 1])).any().alias("wrong"), (pl.col("net") == 1).sum().alias("standing"))
        .filter(pl.col("wrong") | (pl.col("standing") > 1))
        .select(_CALL)
        .sort(_CALL)
    )


def reconcile(entries: pl.DataFrame, price: Price, posted_at: datetime, number: int = 1) -> pl.DataFrame:
    """Entries that leave every call of ``entries`` standing exactly once; empty when nothing is broken.

    Args:
        entries: every entry, of one tenant, of the calls in question (found by their handles).
        price: the price book.
        posted_at: written on the entries.
        number: of this repair, 1 to 65,535, by chance. Two that mend the same call at the same time both take away what
            stands; were what they bring the same version as that, nothing would be left.
    """
    sick = broken(entries)
    negations = _negations(entries.join(sick, on=_CALL, how="semi"), posted_at)
    observed = entries.join(sick, on=_CALL, how="semi")["said"].explode().drop_nulls()
    heard = unpack(observed) if len(observed) else pl.DataFrame(schema=OBSERVATION_SCHEMA)
    mended = pl.concat([entries.select(LEDGER_COLUMNS), negations])
    joined = post(heard.unique("observation_id"), mended, price, posted_at)
    return _net_of(pl.concat([negations, _numbered(joined, entries, number)]))


def _numbered(joined: pl.DataFrame, entries: pl.DataFrame, number: int) -> pl.DataFrame:
    """New entries never have a version that was there before: see ``number``."""
    known = entries.select(_ENTRY).unique().with_columns(known=True)
    again = (pl.col("sign") > 0) & pl.col("known").fill_null(False)
    marked = joined.join(known, on=_ENTRY, how="left", maintain_order="left")
    version = pl.when(again).then(pl.col("version") // REPAIRS * REPAIRS + number).otherwise("version")
    return marked.with_columns(version=version.cast(pl.UInt64)).select(LEDGER_COLUMNS)


def _nets(entries: pl.DataFrame) -> pl.DataFrame:
    return entries.group_by(_ENTRY).agg(pl.col("sign").cast(pl.Int64).sum().alias("net"))


def _negations(entries: pl.DataFrame, posted_at: datetime) -> pl.DataFrame:
    """The opposite of every nonzero group, as often as it stands."""
    nets = _nets(entries).filter(pl.col("net") != 0)
    one_each = entries.unique(_ENTRY, keep="first", maintain_order=True).join(nets, on=_ENTRY)
    times = pl.int_ranges(pl.col("net").abs())
    return (
        one_each.with_columns(
            sign=-pl.col("net").sign().cast(pl.Int8),
            posted_at=pl.lit(posted_at).cast(LEDGER_SCHEMA["posted_at"]),
            entered_at=pl.when((pl.col("net") > 0) & (pl.col("sign") > 0)).then("posted_at").otherwise("entered_at"),
            times=times,
        )
        .explode("times")
        .select(LEDGER_COLUMNS)
    )


def _net_of(entries: pl.DataFrame) -> pl.DataFrame:
    """Drop pairs that cancel each other within the same posting."""
    nets = _nets(entries).filter(pl.col("net") != 0)
    kept = entries.unique(_ENTRY, keep="last", maintain_order=True).join(nets, on=_ENTRY)
    return (
        kept.with_columns(sign=pl.col("net").sign().cast(pl.Int8), times=pl.int_ranges(pl.col("net").abs()))
        .explode("times")
        .select(LEDGER_COLUMNS)
    )
