"""What each kind of change does to calls: the calls it is about, and the same calls after it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.advice import litellm
from otel_exporter.advice.finding import Finding, compare
from otel_exporter.advice.history import as_model, billed, priced
from otel_exporter.advice.prefixes import CACHED_MINUTES, SHORTEST_PREFIX
from processors.contract import MONEY

if TYPE_CHECKING:
    from processors.post import Price

#: Who caches only what the request marks, and charges for writing it. Others cache by themselves.
_MARKED: Final = ("anthropic", "aws.bedrock", "bedrock")
_SAME_TOKENS: Final = "the other model reads and writes as many tokens (its tokenizer and its answers may differ)"


def named(model: str) -> pl.Expr:
    """Calls of a model, by the name that was priced or asked for."""
    return (pl.col("model") == model) | (pl.col("requested_model") == model)


def swap(calls: pl.DataFrame, price: Price, model: str, provider: str, other: str) -> Finding:
    """Every call of ``model`` sent to ``other`` of ``provider``."""
    mine = billed(calls).filter(named(model))
    sums = compare(mine["cost_usd"], priced(as_model(mine, provider, other), price))
    return Finding(
        "model", model, f"{other} instead", **asdict(sums), basis=_SAME_TOKENS, config=litellm.model(model, other)
    )


def fallback(calls: pl.DataFrame, price: Price, model: str, provider: str, other: str) -> Finding:
    """The calls that stood in for ``model`` after it failed, sent to ``other``."""
    mine = billed(calls).filter(pl.col("fallback_from") == model)
    sums = compare(mine["cost_usd"], priced(as_model(mine, provider, other), price))
    config = litellm.fallback(model, other)
    return Finding("fallback", model, f"falls back to {other}", **asdict(sums), basis=_SAME_TOKENS, config=config)


def batch(calls: pl.DataFrame, price: Price, application: str, model: str) -> Finding:
    """An application's calls of a model at the price of the batch tier, as far as their answers were not streamed."""
    mine = billed(calls).filter((pl.col("application") == application) & (pl.col("model") == model))
    waits = mine.filter(~pl.col("streaming").fill_null(True))
    sums = compare(waits["cost_usd"], priced(waits.with_columns(service_tier=pl.lit("batch")), price))
    assumption = (
        "what was not streamed can wait up to 24 hours for its answer; calls that nobody says it of are left out"
    )
    subject = f"{application or 'no application'}: {model}"
    return Finding("batch", subject, "batch API", **asdict(sums), basis=assumption, config="")


def retries(calls: pl.DataFrame, most: int) -> Finding:
    """Attempts beyond the first and ``most`` more not made."""
    late = calls.filter((pl.col("attempt") > most + 1).fill_null(False) & ~pl.col("cache_hit").fill_null(False))
    sums = compare(late["cost_usd"], (late["cost_usd"] * 0).cast(MONEY))
    rescued = late.filter(pl.col("status") == "ok")["request_key"].n_unique()
    return Finding(
        "retries", "every model", f"at most {most} retries", **asdict(sums), rescued=rescued,
        basis=f"a request that fails {most + 1} times fails", config=litellm.retries(most),
    )  # fmt: skip


def prefixes(calls: pl.DataFrame, price: Price, application: str, model: str, shared: pl.DataFrame) -> Finding:
    """An application's calls of a model with the beginning of their prompts, which others had, read from the cache.

    ``shared``: see `otel_exporter.advice.prefixes.shared`. Calls that used the cache already stay as they were.
    """
    mine = billed(calls).filter((pl.col("application") == application) & (pl.col("model") == model) & _plain())
    known = mine.join(shared, on=["tenant", "call_key"], maintain_order="left")
    writes = pl.col("provider").is_in(_MARKED) & (pl.col("@wanted") > pl.col("@cached"))
    some = known.filter((pl.col("@cached") > 0) | writes)
    write = pl.when(writes).then(pl.col("@wanted") - pl.col("@cached")).otherwise(0)
    after = some.with_columns(
        cache_read_tokens=pl.col("@cached").cast(pl.UInt64),
        cache_write_tokens=write.cast(pl.UInt64),
        cost_usd=pl.lit(None, MONEY),
    )
    costs = priced(after, price)
    sums = compare(some["cost_usd"], costs)
    counted = some.filter(some["cost_usd"].is_not_null() & costs.is_not_null())
    basis = (
        "beginnings of prompts seen in the kept content, which a call that ended at most "
        f"{CACHED_MINUTES} minutes before had, too; {SHORTEST_PREFIX} tokens or more, by their share of the bytes; "
        "every message may end a cached prefix, and what a later call reads is written"
    )
    return Finding(
        "cache", f"{application or 'no application'}: {model}", "cache the prefixes seen", **asdict(sums), basis=basis,
        config=litellm.caching(model), cached_tokens=int(counted["@cached"].sum()),
    )  # fmt: skip


def caching(
    calls: pl.DataFrame, price: Price, model: str, seen: pl.DataFrame | None = None, own: pl.DataFrame | None = None
) -> Finding:
    """The calls of a model's sessions with the prefix that each turn repeats read from the provider's prompt cache.

    Args:
        calls: with those around it.
        price: what they cost.
        model: whose.
        seen: calls (tenant, call_key) whose prompts are known: of them nothing has to be guessed.
        own: the calls (tenant, call_key) that count; None: all.
    """
    turns = _turns(billed(calls).filter((pl.col("model") == model) & (pl.col("session_id") != "")))
    mine = turns.filter(pl.col("@cached") | pl.col("@writes"))
    call = ["tenant", "call_key"]
    if seen is not None:
        mine = mine.join(seen, on=call, how="anti", maintain_order="left")
    if own is not None:
        mine = mine.join(own, on=call, how="semi", maintain_order="left")
    costs = priced(_cached(mine), price)
    sums = compare(mine["cost_usd"], costs)
    counted = mine.filter(pl.col("@cached") & pl.col("cost_usd").is_not_null() & costs.is_not_null())
    basis = (
        "no content of these calls is kept (content.policy), so prefixes cannot be seen; an estimate: a turn repeats "
        "the input and answer of the turn before when its input is at least that long; "
        f"prefixes of {SHORTEST_PREFIX} tokens or more, turns at most {CACHED_MINUTES} minutes apart"
    )
    return Finding(
        "cache", model, "prompt caching", **asdict(sums), basis=basis, config=litellm.caching(model),
        cached_tokens=int(counted["@prefix"].sum() or 0),
    )  # fmt: skip


def _plain() -> pl.Expr:
    """Nothing was read from the prompt cache or written to it."""
    return (pl.col("cache_read_tokens").fill_null(0) == 0) & (pl.col("cache_write_tokens").fill_null(0) == 0)


def _turns(calls: pl.DataFrame) -> pl.DataFrame:
    """``@prefix``: tokens a turn repeats; ``@cached``: it can be read from the cache; ``@writes``: a later turn does.

    A turn that used the cache already, or whose tokens are unknown, is as it was.
    """
    session = ("tenant", "session_id", "provider", "model", "application")
    ordered = calls.sort("started_at", "call_key")
    before_in, before_out = (pl.col(name).shift(1).over(session) for name in ("input_tokens", "output_tokens"))
    prefix = (before_in + before_out).cast(pl.Int64)
    gap = pl.col("started_at") - pl.col("ended_at").shift(1).over(session)
    plain = _plain()
    repeats = (pl.col("input_tokens").cast(pl.Int64) >= prefix) & (prefix >= SHORTEST_PREFIX)
    soon = gap <= pl.duration(minutes=CACHED_MINUTES)
    marked = ordered.with_columns(prefix.alias("@prefix"), (plain & repeats & soon).fill_null(False).alias("@cached"))
    again = pl.col("@cached").shift(-1).over(session).fill_null(False)
    return marked.with_columns((plain & again).alias("@writes"))


def _cached(turns: pl.DataFrame) -> pl.DataFrame:
    """The turns with their tokens as the cache would have served them."""
    read = pl.when("@cached").then("@prefix").otherwise(0).cast(pl.UInt64)
    rest = pl.col("input_tokens") - read
    pays = pl.col("provider").is_in(_MARKED) & (pl.col("input_tokens") >= SHORTEST_PREFIX)
    write = pl.when(pays & pl.col("@writes")).then(rest).otherwise(0).cast(pl.UInt64)
    return turns.with_columns(cache_read_tokens=read, cache_write_tokens=write, cost_usd=pl.lit(None, MONEY))
