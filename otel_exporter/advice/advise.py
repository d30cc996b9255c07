"""Every piece of advice there is on the calls of a period: what there is to change, then what each change is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from otel_exporter.advice import changes
from otel_exporter.advice.finding import Finding, total
from otel_exporter.advice.history import Chunk
from otel_exporter.advice.prefixes import shared
from otel_exporter.advice.survey import Survey, survey

if TYPE_CHECKING:
    from processors.post import Price

#: What a change is worth on some calls.
Change = Callable[[pl.DataFrame], Finding]


def advise(history: Iterable[Chunk], price: Price) -> list[Finding]:
    """What would have saved money, tenant by tenant. ``history`` is gone through twice."""
    plans = {tenant: (found, list(_plan(found, price))) for tenant, found in survey(history).items()}
    found = total(one for chunk in history for one in _in(chunk, plans, price))
    return [one for one in found if one.saved_usd > 0]


def over(history: Iterable[Chunk], wanted: Iterable[Change]) -> list[Finding]:
    """What some changes are worth on all calls together."""
    asked = list(wanted)
    return total(change(chunk.calls) for chunk in history for change in asked) if asked else []


def _in(chunk: Chunk, plans: Mapping[str, tuple[Survey, list[Change]]], price: Price) -> Iterator[Finding]:
    around = chunk.around()
    seen = shared(around, chunk.prompts())
    for (tenant,), mine in chunk.calls.group_by("tenant", maintain_order=True):
        if str(tenant) in plans:  # else it came since the survey
            found, plan = plans[str(tenant)]
            for one in (*(change(mine) for change in plan), *_cached(mine, around, seen, found, price)):
                yield replace(one, tenant=str(tenant))


def _plan(found: Survey, price: Price) -> Iterator[Change]:
    for provider, model in found.dearest():
        other = found.cheapest((pl.col("provider") == provider) & (pl.col("model") == model), price)
        if other is not None:
            yield _swap(price, model, *other)
    for application, model in found.waiting:
        yield _batch(price, application, model)
    for model in found.fallen_from():
        other = found.cheapest(pl.col("fallback_from") == model, price)
        if other is not None:
            yield _fallback(price, model, *other)
    if found.most_attempts is not None:
        yield from (_retries(most) for most in range(min(found.most_attempts - 1, 4)))


def _cached(
    mine: pl.DataFrame, around: pl.DataFrame, seen: pl.DataFrame, found: Survey, price: Price
) -> Iterator[Finding]:
    """Prefixes as they were seen, and as they are guessed where nothing was."""
    own = mine.select("tenant", "call_key")
    known = mine.join(seen, on=["tenant", "call_key"], how="semi")
    for application, model in known.select("application", "model").unique().sort("application", "model").iter_rows():
        yield changes.prefixes(known, price, application, model, seen)
    for _, model in found.dearest():
        yield changes.caching(around, price, model, seen, own)


def _swap(price: Price, model: str, provider: str, other: str) -> Change:
    return lambda calls: changes.swap(calls, price, model, provider, other)


def _batch(price: Price, application: str, model: str) -> Change:
    return lambda calls: changes.batch(calls, price, application, model)


def _fallback(price: Price, model: str, provider: str, other: str) -> Change:
    return lambda calls: changes.fallback(calls, price, model, provider, other)


def _retries(most: int) -> Change:
    return lambda calls: changes.retries(calls, most)
