"""`post`: the ledger's join. New observations and what the ledger holds become entries (DESIGN 5).

A call is the join of *all* observations of it, so `post` gathers them (the ledger keeps every observation in `said`),
clusters them (`processors.joining`), takes each field from the best-ranked observation that says it, prices the result,
and posts the difference: a reversal of the entry that was true before, and the new entry.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import polars as pl

from processors.attempts import link_attempts, request_handle
from processors.contract import (
    CALL,
    LEDGER_COLUMNS,
    LEDGER_SCHEMA,
    MAP,
    OBSERVATION_SCHEMA,
    SAID,
    TEXTS,
    Group,
    Role,
)
from processors.enrich import NAMES, OWN
from processors.identify import unwrapped
from processors.joining import cluster
from processors.said import pack, unpack

Price = Callable[[pl.DataFrame], pl.DataFrame]
_PRICED: Final = (
    "cost_usd", "cost_input_usd", "cost_output_usd", "cost_cache_usd", "cost_other_usd", "discount_usd",
    "margin_usd", "cost_source", "cost_local_usd", "saved_usd", "price_version", "issues",
)  # fmt: skip
#: What is decided when a call is posted, and not again before a new observation touches it.
_SETTLED: Final = (*_PRICED, *NAMES, *OWN, "labels")
_NO_LABELS: Final = pl.lit([], pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).cast(MAP)
_TOKEN_COLUMNS: Final = tuple(column.name for column in SAID if column.group is Group.TOKENS)
#: So many versions have the same content. The last 16 bits are 0, or the number that a repair gave (`reconcile`).
REPAIRS: Final = 2**16
_CONTENT: Final = [name for name in LEDGER_COLUMNS if name not in ("posted_at", "entered_at", "version", "sign")]


def handles(observations: pl.DataFrame) -> list[str]:
    """Everything the ledger may already know these observations' calls by: their keys, traces and named requests.

    For a gateway cache hit also the answer's id: clients that were taken for the original's turn out to be the hit's.
    """
    traces = "trace:" + observations.filter(pl.col("trace_id") != "")["trace_id"]
    hits = observations.filter(pl.col("cache_hit"))
    answers = hits.select("id:" + unwrapped(pl.col("response_id"))).to_series().drop_nulls()
    requests = observations.select(request_handle()).to_series().drop_nulls()
    found = pl.concat([observations["keys"].explode().drop_nulls(), traces, answers, requests])
    return found.unique().sort().to_list()


def looked_up(observations: pl.DataFrame, find: Callable[[list[str]], pl.DataFrame]) -> pl.DataFrame:
    """What the ledger holds of these observations' calls, and of all attempts of the requests those belong to.

    ``find`` answers the entries that have any of some handles. It is asked again when the calls it found name requests
    that the observations do not.
    """
    wanted = handles(observations)
    found = find(wanted)
    names = found["handles"].explode().drop_nulls().unique()
    requests = set(names.filter(names.str.starts_with("request:"))) - set(wanted)
    return find(sorted({*wanted, *requests})) if requests else found


def post(
    observations: pl.DataFrame, current: pl.DataFrame, price: Price, posted_at: datetime, *, reprice: bool = False
) -> pl.DataFrame:
    """Ledger entries that make the ledger agree with everything observed so far.

    Args:
        observations: new observations (contract.OBSERVATION_SCHEMA, keys filled), in any order, repeated or not.
        current: every ledger entry found by `handles`, uncollapsed.
        price: fills what is decided at posting: the money columns of calls, and whose they are.
        posted_at: written on the entries.
        reprice: price every call anew; else only those that new observations touch.

    Returns:
        Reversals (sign -1) and entries (sign +1), contract.LEDGER_SCHEMA; empty when nothing changed.
    """
    live = collapse(current)
    known = unpack(live["said"].explode().drop_nulls()) if live.height else observations.clear()
    heard = pl.concat([known, observations.select(OBSERVATION_SCHEMA.names())])
    heard = heard.filter(pl.col("role") != Role.REFUSAL.value).unique("observation_id", keep="first")
    if heard.is_empty():
        return pl.DataFrame(schema=LEDGER_SCHEMA)
    calls = price(join(heard))
    if not reprice:
        calls = _keep_settled(calls, live)
    return _entries(_versioned(calls, posted_at), live, posted_at)


def collapse(entries: pl.DataFrame) -> pl.DataFrame:
    """The entries that stand: per (tenant, call_key, version) the signs add up to one."""
    if entries.is_empty():
        return entries
    standing = entries.group_by("tenant", "call_key", "version").agg(pl.col("sign").cast(pl.Int64).sum().alias("@net"))
    alive = standing.filter(pl.col("@net") > 0)
    return (
        entries.filter(pl.col("sign") > 0)
        .unique(["tenant", "call_key", "version"], keep="first", maintain_order=True)
        .join(alive, on=["tenant", "call_key", "version"], how="semi", maintain_order="left")
    )


def join(observations: pl.DataFrame) -> pl.DataFrame:
    """Calls, unpriced: one row per cluster that holds at least one billable observation."""
    # Packed as they came: which cache hit a client means may change with every hit that arrives.
    rows = cluster(pack(observations)).with_columns(reported_by=_reporter())
    billable = (pl.col("role") == Role.CALL.value).any().over("call")
    rows = rows.filter(billable)
    alone = pl.len().over("call") == 1
    joined = [_alone(rows.filter(alone)), _together(rows.filter(~alone))]
    return link_attempts(_filled(pl.concat(joined, how="diagonal")))


def _reporter() -> pl.Expr:
    """Who computed the cost an observation reports."""
    return (
        pl.when(pl.col("cost_reported_usd").is_null())
        .then(None)
        .when(pl.col("gateway").fill_null("") != "")
        .then(pl.lit("gateway"))
        .otherwise(pl.lit("client"))
    )


def _alone(rows: pl.DataFrame) -> pl.DataFrame:
    """A call seen once needs no join."""
    trace = pl.when(pl.col("trace_id") != "").then("trace:" + pl.col("trace_id"))
    return rows.with_columns(
        observation_ids=pl.concat_list("observation_id"),
        handles=pl.concat_list("keys", pl.concat_list("call_key", trace, request_handle())).list.drop_nulls(),
        said=pl.concat_list("said"),
        observations=pl.lit(1, pl.UInt16),
        sources=pl.concat_list("source"),
    )


def _together(rows: pl.DataFrame) -> pl.DataFrame:
    """A call seen several times: each field from the best-ranked observation that says it."""
    if rows.is_empty():
        return _alone(rows)
    rows = _agreeing_tokens(rows)
    return rows.group_by("call", maintain_order=True).agg(
        *(_best(column.name, column.group, column.polars) for column in SAID if column.group),
        _best("reported_by", Group.COST, pl.String),
        *(
            pl.col(name).sort_by("rank_identity", "observation_id").first()
            for name in ("tenant", "trace_id", "span_id", "parent_span_id", "call_key", "merged_by", "reused")
        ),
        *(
            pl.col(name).filter(pl.col("request_span") != "").sort_by(*_by_request()).first().alias(alias)
            for name, alias in (("request_span", "request_span"), ("trace_id", "request_trace"))
        ),
        pl.col("issues").explode().drop_nulls().unique().sort(),
        pl.col("observation_id").sort().alias("observation_ids"),
        pl.concat_list("keys", pl.concat_list("call_key", "trace:" + pl.col("trace_id"), request_handle()))
        .explode()
        .drop_nulls()
        .unique()
        .sort()
        .alias("handles"),
        pl.col("said").sort_by("observation_id"),
        pl.len().cast(pl.UInt16).alias("observations"),
        pl.col("source").unique().sort().alias("sources"),
    )


def _by_request() -> list[pl.Expr]:
    """Of several names of the request the best-ranked source's, and its trace."""
    named = pl.col("request_span") != ""
    return [pl.col(name).filter(named) for name in ("rank_identity", "request_span", "trace_id")]


def _best(name: str, group: Group | None, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    ordered = pl.col(name).sort_by(f"rank_{group}", "observation_id")
    if dtype == TEXTS:
        return ordered.filter(pl.col(name).sort_by(f"rank_{group}", "observation_id").list.len() > 0).first()
    return ordered.drop_nulls().first()


def _agreeing_tokens(rows: pl.DataFrame) -> pl.DataFrame:
    """Token classes come only from observations that count the input as the best one does; others are flagged."""
    best = pl.col("input_tokens").sort_by("rank_tokens", "observation_id").drop_nulls().first().over("call")
    differs = (pl.col("input_tokens") != best).fill_null(False)
    return rows.with_columns(
        *(pl.when(~differs).then(pl.col(name)).alias(name) for name in _TOKEN_COLUMNS),
        issues=pl.when(differs).then(pl.concat_list("issues", pl.lit(["tokens_disagree"], TEXTS))).otherwise("issues"),
    )


def _filled(calls: pl.DataFrame) -> pl.DataFrame:
    """Ledger defaults: text nobody said is ``''``; what the join cannot know stays null."""
    issues = pl.concat_list(
        pl.col("issues").fill_null(pl.lit([], TEXTS)),
        pl.when("reused").then(pl.lit(["response_id_reused"], TEXTS)).otherwise(pl.lit([], TEXTS)),
    ).list.unique()
    calls = calls.with_columns(issues=issues.list.drop_nulls().list.sort())
    missing = [pl.lit(None, column.polars).alias(column.name) for column in CALL if column.name not in calls.columns]
    calls = calls.with_columns(missing)
    return calls.with_columns(
        *(pl.col(c.name).fill_null("") for c in CALL if c.polars == pl.String),
        *(pl.col(c.name).fill_null(pl.lit([], TEXTS)) for c in CALL if c.polars == TEXTS),
    )


def _keep_settled(calls: pl.DataFrame, live: pl.DataFrame) -> pl.DataFrame:
    """A call that no new observation touched keeps price and attribution: history changes by `reprice`, `reattribute`.

    Neither may have changed whose id it carries (`response_id_reused`), which issues are kept with the price.
    """
    if live.is_empty():
        return calls
    same = [
        pl.col("observation_ids").list.join(" ").alias("@ids"),
        pl.col("issues").list.contains("response_id_reused").alias("@reused"),
    ]
    before = live.select("call_key", *same, *(pl.col(name).alias(f"@{name}") for name in _SETTLED))
    both = calls.with_columns(same).join(
        before.with_columns(pl.lit(True).alias("@untouched")),
        on=["call_key", "@ids", "@reused"],
        how="left",
        maintain_order="left",
    )
    return both.with_columns(
        pl.when(pl.col("@untouched").fill_null(False)).then(pl.col(f"@{name}")).otherwise(pl.col(name)).alias(name)
        for name in _SETTLED
    )


def _versioned(calls: pl.DataFrame, posted_at: datetime) -> pl.DataFrame:
    entries = calls.with_columns(
        labels=pl.col("labels").fill_null(_NO_LABELS),
        posted_at=pl.lit(posted_at).cast(LEDGER_SCHEMA["posted_at"]),
        entered_at=pl.lit(None, LEDGER_SCHEMA["entered_at"]),
        sign=pl.lit(1, pl.Int8),
    )
    content = entries.select(name for name in _CONTENT if name not in ("said", "labels"))
    hashed = content.with_columns(_label_texts(entries["labels"])).hash_rows(seed=0)
    return entries.with_columns(version=hashed // REPAIRS * REPAIRS).select(
        pl.col(name).cast(dtype) for name, dtype in LEDGER_SCHEMA.items()
    )


def _label_texts(labels: pl.Series) -> pl.Series:
    """Labels as texts in one order, whatever order they were stored in."""
    pair = pl.element().struct.field("key") + "\x1f" + pl.element().struct.field("value")
    pairs = labels.cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).to_frame("labels")
    return pairs.select(pl.col("labels").list.eval(pair).list.sort().list.join("\x1e")).to_series()


def _entries(calls: pl.DataFrame, live: pl.DataFrame, posted_at: datetime) -> pl.DataFrame:
    if live.is_empty():
        return calls
    entry = [pl.col("tenant"), pl.col("call_key"), pl.col("version") // REPAIRS]
    gone = live.join(calls, on=entry, how="anti", maintain_order="left")
    reversals = gone.with_columns(
        sign=pl.lit(-1, pl.Int8),
        posted_at=pl.lit(posted_at).cast(LEDGER_SCHEMA["posted_at"]),
        entered_at=pl.col("posted_at"),
    )
    new = calls.join(live, on=entry, how="anti", maintain_order="left")
    return pl.concat([reversals.select(LEDGER_COLUMNS), new])
