"""Every piece of advice there is on the calls of a period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.advice import changes
from otel_exporter.advice.finding import Finding
from otel_exporter.advice.history import as_model, billed, priced

if TYPE_CHECKING:
    from processors.post import Price

#: Models that cost most: for each, another one is looked for.
_MODELS: Final = 8
#: How many others are tried, those in use most.
_OTHERS: Final = 12
_NAME: Final = ("provider", "model")


def advise(calls: pl.DataFrame, price: Price) -> list[Finding]:
    """What would have saved money, tenant by tenant."""
    found = []
    for (tenant,), mine in calls.group_by("tenant", maintain_order=True):
        every = (replace(one, tenant=str(tenant)) for one in _all(mine, price))
        found += [one for one in every if one.saved_usd > 0]
    return found


def _all(calls: pl.DataFrame, price: Price) -> Iterator[Finding]:
    paid = billed(calls)
    for provider, model in _dearest(paid):
        yield from _models(calls, paid, price, provider, model)
        yield changes.caching(calls, price, model)
    for application, model in _waiting(paid):
        yield changes.batch(calls, price, application, model)
    for (model,) in (
        paid.filter(pl.col("fallback_from") != "").select("fallback_from").unique().sort("fallback_from").iter_rows()
    ):
        yield from _fallbacks(calls, paid, price, model)
    most = calls["attempt"].max()
    if isinstance(most, int):
        yield from (changes.retries(calls, retries) for retries in range(min(most - 1, 4)))


def _dearest(paid: pl.DataFrame) -> list[tuple[str, str]]:
    sums = paid.group_by(_NAME).agg(pl.col("cost_usd").sum()).filter(pl.col("model") != "")
    return sums.sort("cost_usd", *_NAME, descending=[True, False, False]).select(_NAME).head(_MODELS).rows()


def _models(calls: pl.DataFrame, paid: pl.DataFrame, price: Price, provider: str, model: str) -> Iterator[Finding]:
    mine = paid.filter((pl.col("provider") == provider) & (pl.col("model") == model))
    other = _cheapest(paid, mine, price)
    if other is not None:
        yield changes.swap(calls, price, model, *other)


def _fallbacks(calls: pl.DataFrame, paid: pl.DataFrame, price: Price, model: str) -> Iterator[Finding]:
    other = _cheapest(paid, paid.filter(pl.col("fallback_from") == model), price)
    if other is not None:
        yield changes.fallback(calls, price, model, *other)


def _cheapest(paid: pl.DataFrame, mine: pl.DataFrame, price: Price) -> tuple[str, str] | None:
    """Of the models in use here for the same operations, the one at which an average call costs least.

    In use: somebody here found it good enough, and has access. Which one is chosen by the average; what it would have
    cost is then computed call by call.
    """
    kinds = mine["operation"].unique()
    others = paid.filter(pl.col("operation").is_in(kinds.implode()) & (pl.col("model") != ""))
    names = (
        others.group_by(_NAME).len().sort("len", *_NAME, descending=[True, False, False]).select(_NAME).head(_OTHERS)
    )
    if mine.is_empty():
        return None
    average = _average(mine)
    trial = pl.concat([as_model(average, *name) for name in names.iter_rows()])
    costs = names.with_columns(cost=priced(trial, price)).drop_nulls("cost").sort("cost", *_NAME)
    own = mine.row(0, named=True)
    best = costs.row(0) if costs.height else None
    return None if best is None or best[:2] == (own["provider"], own["model"]) else (best[0], best[1])


def _average(calls: pl.DataFrame) -> pl.DataFrame:
    """One call with the average tokens of all of them."""
    tokens = [name for name in calls.columns if name.endswith("_tokens")]
    means = calls.select(pl.col(name).mean().round().cast(pl.UInt64) for name in tokens)
    return calls.head(1).with_columns(means.get_columns())


def _waiting(paid: pl.DataFrame) -> list[tuple[str, str]]:
    """Applications and models with calls that were not streamed."""
    calm = paid.filter(~pl.col("streaming").fill_null(True) & (pl.col("service_tier") != "batch"))
    return calm.select("application", "model").unique().sort("application", "model").rows()
