"""Join observations without an id to the call they contain or are contained in: the third step of `processors.joining`.

A wrapper (a framework's span, an instrumentor without ids, an event without the answer's id) is the call of another
observation when both belong to one trace, one lies within the other in time or hangs on its span, and what they say
agrees: outcome, model family, tokens as far as they are known. The best pairs are joined first, and each side is joined
to its best only, until nothing is left to join.
"""

from __future__ import annotations

from typing import Final

import polars as pl

_MAX_ROUNDS: Final = 64
_WITHOUT_ID: Final = pl.col("keys").list.first().str.contains("^(?:span:|log/)").all()
_CANDIDATES: Final = {"trace_id": pl.String, "outer": pl.UInt32, "inner": pl.UInt32, "near": pl.Boolean,
                      "direct": pl.Boolean, "distance": pl.Int64}  # fmt: skip


def contain(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows (observations with ``call``, a cluster number) with their calls joined, and ``contained`` on what was."""
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


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Pairs that may be one: ``outer`` has no id; ``inner`` is another call of its trace."""
    traced = rows.filter(pl.col("trace_id") != "")
    seen = traced.join(_worth_a_look(traced), on="trace_id", how="semi", maintain_order="left")
    if seen.is_empty():
        return pl.DataFrame(schema={name: _CANDIDATES[name] for name in ("outer", "inner", "near", "distance")})
    calls = _calls(seen)
    without_id = calls.filter("without_id").select("trace_id", "call")
    outer = seen.join(without_id, on=["trace_id", "call"], how="semi")
    candidates = pl.concat([_hanging(outer, seen), _within(outer, seen)]).filter(pl.col("outer") != pl.col("inner"))
    found = candidates.group_by("trace_id", "outer", "inner", maintain_order=True).agg(
        pl.col("near").any(), pl.col("direct").any(), pl.col("distance").min()
    )
    return _agreeing(found, calls).select("outer", "inner", "near", "distance").unique(["outer", "inner"])


def _worth_a_look(traced: pl.DataFrame) -> pl.DataFrame:
    """Traces of several calls that several sources describe, or one source in spans below one another."""
    above = traced.select("trace_id", pl.col("span_id").alias("parent_span_id")).unique()
    nested = traced.join(above, on=["trace_id", "parent_span_id"], how="semi").select("trace_id", below=True)
    busy = traced.group_by("trace_id").agg(pl.col("call").n_unique().alias("calls"), pl.col("source").n_unique())
    busy = busy.filter(pl.col("calls") > 1).join(nested.unique(), on="trace_id", how="left")
    return busy.filter((pl.col("source") > 1) | pl.col("below")).select("trace_id")


def _calls(seen: pl.DataFrame) -> pl.DataFrame:
    """What the observations of each call say, trace by trace."""
    place = pl.when(pl.col("parent_span_id") != "").then(pl.concat_str("source", pl.lit("/"), "parent_span_id"))
    return seen.group_by("trace_id", "call").agg(
        _WITHOUT_ID.alias("without_id"),
        pl.col("source").unique().alias("sources"),
        place.drop_nulls().alias("places"),
        _families().explode().drop_nulls().unique().alias("families"),
        *(pl.col(name).drop_nulls().first() for name in ("status", "input_tokens", "output_tokens")),
    )


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


def _hanging(outer: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Candidates by spans: parent and child, or a log record and the span it was written in."""
    links = [("span_id", "parent_span_id", True), ("parent_span_id", "span_id", True), ("span_id", "span_id", False)]
    found = [
        outer.filter(pl.col(mine) != "")
        .join(seen, left_on=["trace_id", mine], right_on=["trace_id", theirs])
        .select(
            "trace_id",
            pl.col("call").alias("outer"),
            pl.col("call_right").alias("inner"),
            pl.lit(True).alias("near"),
            pl.lit(direct).alias("direct"),
            _distance("started_at", "started_at_right"),
        )
        for mine, theirs, direct in links
    ]
    return pl.concat(found)


def _within(outer: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Candidates by time: all of the outer call around one observation of the inner, or within it.

    Each observation of the inner call counts for itself: one that strayed in by an id used twice must not stretch it.
    """
    whole = outer.group_by("trace_id", "call").agg(pl.col("started_at").min(), pl.col("ended_at").max())
    wrappers, others = _placed(whole, seen), _placed(seen, seen)
    starts_first, ends_last = pl.col("from") <= pl.col("from_right"), pl.col("to") >= pl.col("to_right")
    starts_last, ends_first = pl.col("from") >= pl.col("from_right"), pl.col("to") <= pl.col("to_right")
    around = wrappers.join_where(others, starts_first, ends_last)
    inside = wrappers.join_where(others, starts_last, ends_first)
    return pl.concat([around, inside]).select(
        "trace_id",
        pl.col("call").alias("outer"),
        pl.col("call_right").alias("inner"),
        pl.lit(False).alias("near"),
        pl.lit(False).alias("direct"),
        _distance("started_at", "started_at_right"),
    )


def _placed(intervals: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Intervals with the places of their ends in the order of (trace, moment): two traces never overlap there."""
    moments = [seen.select("trace_id", at=name) for name in ("started_at", "ended_at")]
    places = pl.concat(moments).unique().sort("trace_id", "at").with_row_index("place")
    placed = intervals.select("trace_id", "call", "started_at", "ended_at")
    for name, end in (("from", "started_at"), ("to", "ended_at")):
        placed = placed.join(
            places.select("trace_id", pl.col("at").alias(end), pl.col("place").alias(name)), on=["trace_id", end]
        )
    return placed.drop("ended_at")


def _distance(one: str, other: str) -> pl.Expr:
    return (pl.col(one) - pl.col(other)).abs().cast(pl.Int64).alias("distance")


def _agreeing(pairs: pl.DataFrame, calls: pl.DataFrame) -> pl.DataFrame:
    """The pairs whose sides say nothing against being one call, the cheapest question first."""
    said = ("status", "input_tokens", "output_tokens")
    for end in ("outer", "inner"):
        told = calls.select(
            "trace_id", pl.col("call").alias(end), *(pl.col(name).alias(f"{end}_{name}") for name in said)
        )
        pairs = pairs.join(told, on=["trace_id", end])
    pairs = pairs.filter((pl.col(f"outer_{name}") == pl.col(f"inner_{name}")).fill_null(True) for name in said)
    for end in ("outer", "inner"):
        lists = [pl.col(name).alias(f"{end}_{name}") for name in ("sources", "families", "places")]
        pairs = pairs.join(calls.select("trace_id", pl.col("call").alias(end), *lists), on=["trace_id", end])
    no_family = (pl.col("outer_families").list.len() == 0) | (pl.col("inner_families").list.len() == 0)
    # No call to a provider makes another, so that parent and child are one whoever saw them; siblings of one source are not.
    other_sources = ~_share("sources") | (pl.col("direct") & ~_share("places"))
    return pairs.filter((no_family | _share("families")) & other_sources)


def _share(name: str) -> pl.Expr:
    return pl.col(f"outer_{name}").list.set_intersection(f"inner_{name}").list.len() > 0


def _mutual_best(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs in which each side is the other's best: what hangs on its span before distance before number."""
    ordered = pairs.with_columns(
        low=pl.min_horizontal("outer", "inner"), high=pl.max_horizontal("outer", "inner")
    ).sort(~pl.col("near"), "distance", "low", "high", "outer")
    ranked = ordered.with_row_index("place")
    ends = pl.concat(
        [ranked.select("place", pl.col("outer").alias("end")), ranked.select("place", pl.col("inner").alias("end"))]
    )
    best = ends.group_by("end").agg(pl.col("place").min())
    chosen = best.group_by("place").len().filter(pl.col("len") == 2).select("place")
    return ranked.join(chosen, on="place", how="semi")
