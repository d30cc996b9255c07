"""Which observations are one call: the clustering behind `post` (DESIGN 5, identity).

It is a pure function of the *set* of observations: order, repetition and splitting into batches change nothing.

1. Observations that share a key are one call.
2. ... unless the id was used again: later, apart in time, with other numbers (`response_id_reused`).
3. What has no id of its own belongs to the call it contains or is contained in: same trace, same outcome, same model
   family, tokens equal or unknown. One wrapper takes one call, and a call takes one wrapper per source, but for
   parent and child: no call to a provider makes another. Siblings of one source are calls of their own.
"""

from __future__ import annotations

from typing import Final

import polars as pl

#: The same id this long after the first answer ended is another call, whatever the numbers say.
REUSED_AFTER: Final = pl.duration(seconds=60)
_MAX_ROUNDS: Final = 64


def cluster(observations: pl.DataFrame) -> pl.DataFrame:
    """Observations with ``call`` (cluster number), ``call_key``, ``merged_by`` and ``reused``.

    Needs unique `observation_id`s and filled `keys`.
    """
    rows = _follow_cache_hits(observations).sort("observation_id").with_row_index("call")
    by_key = _split_reused(_share_keys(rows))
    return _named(_contain(by_key))


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


def _contain(rows: pl.DataFrame) -> pl.DataFrame:
    """Join what has no id to what it contains or is contained in, best pairs first."""
    rows = rows.with_columns(contained=pl.lit(False))
    for _ in range(_MAX_ROUNDS):
        pairs = _pairs(rows)
        if pairs.is_empty():
            break
        best = _mutual_best(pairs)
        into = best.select(pl.col("inner").alias("to"), pl.col("outer").alias("call"))
        rows = rows.join(into, on="call", how="left", maintain_order="left").with_columns(
            call=pl.coalesce("to", "call"), contained=pl.col("contained") | pl.col("to").is_not_null()
        )
        rows = rows.drop("to")
    return rows


_WITHOUT_ID: Final = pl.col("keys").list.first().str.contains("^(?:span:|log/)").all()


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Candidate pairs (outer has no id; inner is another call of the same trace that may be the same)."""
    traced = rows.filter(pl.col("trace_id") != "")
    wanted = _worth_a_look(traced)
    if wanted.is_empty():
        return pl.DataFrame(schema={"outer": pl.UInt32, "inner": pl.UInt32, "direct": pl.Boolean, "distance": pl.Int64})
    calls = (
        traced.join(wanted, on="trace_id", how="semi")
        .group_by("trace_id", "call")
        .agg(
            _WITHOUT_ID.alias("without_id"),
            pl.col("source").unique().alias("sources"),
            pl.col("span_id").alias("spans"),
            pl.col("parent_span_id").alias("parents"),
            _place().drop_nulls().alias("places"),
            pl.col("started_at").alias("start"),
            pl.col("ended_at").alias("end"),
            *(pl.col(name).drop_nulls().first() for name in ("status", "input_tokens", "output_tokens")),
            _families().explode().drop_nulls().unique().alias("families"),
        )
    )
    whole = calls.with_columns(pl.col("start").list.min(), pl.col("end").list.max())
    outer = whole.filter("without_id").rename(lambda name: name if name == "trace_id" else f"o_{name}")
    # Each observation of the inner call for itself: one that strayed into it by an id used twice must not stretch it.
    inner = calls.explode("start", "end").rename(lambda name: name if name == "trace_id" else f"i_{name}")
    pairs = outer.join(inner, on="trace_id").filter((pl.col("o_call") != pl.col("i_call")) & _may_be_one())
    return (
        pairs.select(
            pl.col("o_call").alias("outer"),
            pl.col("i_call").alias("inner"),
            (_direct() | _same_span()).alias("direct"),
            (pl.col("o_start") - pl.col("i_start")).abs().cast(pl.Int64).alias("distance"),
        )
        .group_by("outer", "inner", maintain_order=True)
        .agg(pl.col("direct").any(), pl.col("distance").min())
    )


def _worth_a_look(traced: pl.DataFrame) -> pl.DataFrame:
    """Traces of several calls that several sources describe, or one source in spans below one another."""
    above = traced.select("trace_id", pl.col("span_id").alias("parent_span_id")).unique()
    nested = traced.join(above, on=["trace_id", "parent_span_id"], how="semi").select("trace_id", below=True)
    busy = traced.group_by("trace_id").agg(pl.col("call").n_unique().alias("calls"), pl.col("source").n_unique())
    busy = busy.filter(pl.col("calls") > 1).join(nested.unique(), on="trace_id", how="left")
    return busy.filter((pl.col("source") > 1) | pl.col("below")).select("trace_id")


def _families() -> pl.Expr:
    """Families of the models an observation names: without provider prefix and date, lower case.

    All of them, since a client knows the alias it asked for, and the gateway what became of it.
    """
    names = [pl.col(name).replace("", None) for name in ("model", "response_model", "requested_model")]
    families = [
        name.str.to_lowercase()
        .str.replace(r"^.*/", "")
        .str.replace(r"[-@:]?(?:20\d{2}-?\d{2}-?\d{2}|latest|v\d+:\d+)$", "")
        for name in names
    ]
    return pl.concat_list(families)


def _may_be_one() -> pl.Expr:
    def agree(name: str) -> pl.Expr:
        return (pl.col(f"o_{name}") == pl.col(f"i_{name}")).fill_null(True)

    outside = (pl.col("o_start") <= pl.col("i_start")) & (pl.col("o_end") >= pl.col("i_end"))
    inside = (pl.col("o_start") >= pl.col("i_start")) & (pl.col("o_end") <= pl.col("i_end"))
    families = pl.concat_list("o_families", "i_families").list.unique().list.len()
    known = pl.col("o_families").list.len().clip(1) + pl.col("i_families").list.len().clip(1)
    same_family = (families < known) | (pl.col("o_families").list.len() == 0) | (pl.col("i_families").list.len() == 0)
    other_sources = pl.col("o_sources").list.set_intersection("i_sources").list.len() == 0
    return (
        (outside | inside | _direct() | _same_span())
        & agree("status")
        & agree("input_tokens")
        & agree("output_tokens")
        & same_family
        & (other_sources | (_direct() & ~_siblings()))
    )


def _place() -> pl.Expr:
    """Below which span, and who says so: spans of one source below one span are calls of their own."""
    return pl.when(pl.col("parent_span_id") != "").then(pl.concat_str("source", pl.lit("/"), "parent_span_id"))


def _siblings() -> pl.Expr:
    return pl.col("o_places").list.set_intersection("i_places").list.len() > 0


def _direct() -> pl.Expr:
    """Parent and child."""
    return _share("i_parents", "o_spans") | _share("o_parents", "i_spans")


def _same_span() -> pl.Expr:
    """A span, and a log record written in it."""
    return _share("o_spans", "i_spans")


def _share(some: str, others: str) -> pl.Expr:
    """Two lists of span ids have one in common."""
    both = pl.col(some).list.set_intersection(others)
    return both.list.eval(pl.element().filter(pl.element() != "")).list.len() > 0


def _mutual_best(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs in which each side is the other's best: parent before distance before number."""
    ordered = pairs.with_columns(
        low=pl.min_horizontal("outer", "inner"), high=pl.max_horizontal("outer", "inner")
    ).sort(~pl.col("direct"), "distance", "low", "high", "outer")
    ranked = ordered.with_row_index("place")
    ends = pl.concat(
        [ranked.select("place", pl.col("outer").alias("end")), ranked.select("place", pl.col("inner").alias("end"))]
    )
    best = ends.group_by("end").agg(pl.col("place").min())
    chosen = best.group_by("place").len().filter(pl.col("len") == 2).select("place")
    return ranked.join(chosen, on="place", how="semi")


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
