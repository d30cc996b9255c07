"""Which observations are one call: the clustering behind `post` (DESIGN 5, identity).

It is a pure function of the *set* of observations: order, repetition and splitting into batches change nothing.

1. Observations that share a key are one call.
2. ... unless the id was used again: later, apart in time, with other numbers (`response_id_reused`).
3. What has no id of its own belongs to the call it contains or is contained in (`processors.containment`): same trace,
   same outcome, same model family, tokens equal or unknown. One wrapper takes one call, and a call takes one wrapper per
   source, but for parent and child. Siblings of one source are calls of their own.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.containment import contain

#: The same id this long after the first answer ended is another call, whatever the numbers say.
REUSED_AFTER: Final = pl.duration(seconds=60)
_MAX_ROUNDS: Final = 64


def cluster(observations: pl.DataFrame) -> pl.DataFrame:
    """Observations with ``call`` (cluster number), ``call_key``, ``merged_by`` and ``reused``.

    Needs unique `observation_id`s and filled `keys`.
    """
    rows = _follow_cache_hits(observations).sort("observation_id").with_row_index("call")
    by_key = _split_reused(_share_keys(rows))
    return _named(contain(by_key))


def _follow_cache_hits(rows: pl.DataFrame) -> pl.DataFrame:
    """A client sees the original's response id on a gateway cache hit: around the hit, it means the hit."""
    hit = pl.col("cache_hit").fill_null(False)
    hits = rows.filter(hit & pl.col("response_id").is_not_null() & (pl.col("trace_id") != "")).select(
        "trace_id",
        "response_id",
        pl.col("keys").list.first().alias("@hit"),
        pl.col("started_at").alias("@start"),
        pl.col("ended_at").alias("@end"),
    )
    if hits.is_empty():
        return rows
    # A client writes its log record when it is done, after the gateway is.
    until = pl.when(pl.col("observation_id").str.starts_with("log/")).then(pl.col("@end") + REUSED_AFTER)
    overlaps = (pl.col("started_at") <= until.otherwise("@end")) & (pl.col("ended_at") >= pl.col("@start"))
    means = (
        rows.filter(~hit)
        .join(hits, on=["trace_id", "response_id"])
        .filter(overlaps)
        .sort("observation_id", "@start", "@hit")
        .unique("observation_id", keep="last")
        .select("observation_id", "@hit")
    )
    followed = rows.join(means, on="observation_id", how="left", maintain_order="left")
    own = pl.col("keys").list.filter(~pl.element().str.starts_with("id:"))
    keys = pl.when(pl.col("@hit").is_not_null()).then(pl.concat_list(pl.concat_list("@hit"), own))
    return followed.with_columns(keys=keys.otherwise("keys")).drop("@hit")


def _share_keys(rows: pl.DataFrame) -> pl.DataFrame:
    """Connected components over shared keys, by spreading the smallest number until nothing changes."""
    keys = rows.select("call", "keys").explode("keys").drop_nulls()
    if keys["keys"].n_unique() == keys.height:
        return rows
    labels = rows.select(pl.col("call").alias("row"), "call")
    edges = keys.rename({"call": "row", "keys": "key"})
    for _ in range(_MAX_ROUNDS):
        of_key = edges.join(labels, on="row").group_by("key").agg(pl.col("call").min())
        of_row = edges.join(of_key, on="key").group_by("row").agg(pl.col("call").min())
        spread = labels.select("row").join(of_row, on="row", how="left", maintain_order="left")
        spread = spread.with_columns(pl.col("call").fill_null(pl.col("row")))
        if spread["call"].equals(labels["call"]):
            break
        labels = spread
    return rows.with_columns(labels["call"])


def _split_reused(rows: pl.DataFrame) -> pl.DataFrame:
    """Break a cluster where the same id comes again: after a minute, or apart in time with other input tokens."""
    rows = rows.with_columns(part=pl.lit(0, pl.UInt32), reused=pl.lit(False))
    shared = pl.col("call").is_duplicated()
    several = rows.filter(shared).sort("call", "started_at", "observation_id")
    ended = pl.col("ended_at").cum_max().shift(1).over("call")
    tokens = pl.col("input_tokens").forward_fill().shift(1).over("call")
    apart = pl.col("started_at") > ended
    again = (apart & (pl.col("started_at") > ended + REUSED_AFTER)) | (apart & (pl.col("input_tokens") != tokens))
    parts = several.with_columns(part=again.fill_null(False).cast(pl.UInt32).cum_sum().over("call"))
    if not parts["part"].max():
        return rows
    reused = pl.col("part").max().over("call") > 0
    number = pl.struct("call", "part").rank("dense").cast(pl.UInt32) + rows.height
    parts = parts.with_columns(reused=reused, call=pl.when(reused).then(number).otherwise("call"))
    return pl.concat([rows.filter(~shared), parts])


_KEY_ORDER: Final = {"cache": 0, "id": 1}


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """Call keys, and why the observations of a call are one."""
    best = pl.col("keys").list.first()
    kind = best.str.extract("^(cache|id):", 1)
    marked = rows.with_columns(
        best=best, order=kind.replace_strict(_KEY_ORDER, default=2, return_dtype=pl.UInt8), named=kind.is_not_null()
    )
    calls = (
        marked.sort("order", "rank_identity", "best")
        .group_by("call")
        .agg(
            pl.col("best").first(),
            pl.col("part").max() == 0,  # what was contained has no part of its own
            pl.col("started_at").min().cast(pl.Int64).alias("first_start"),
            pl.len().alias("size"),
            (pl.col("named").sum() > 1).alias("by_id"),
            pl.col("contained").any().alias("by_containment"),
        )
    )
    reused = pl.concat_str("best", pl.lit("@"), "first_start")
    named = calls.select("call", call_key=pl.when("part").then("best").otherwise(reused), merged_by=_reason())
    named_rows = rows.join(named, on="call", how="left", maintain_order="left")
    return named_rows.with_columns(pl.col("reused").any().over("call"))


def _reason() -> pl.Expr:
    return (
        pl.when(pl.col("size") == 1)
        .then(pl.lit(""))
        .when("by_id", "by_containment")
        .then(pl.lit("response_id+containment"))
        .when("by_id")
        .then(pl.lit("response_id"))
        .when("by_containment")
        .then(pl.lit("containment"))
        .otherwise(pl.lit("span"))
    )
