"""What there is to advise about: which models, applications and attempts a history has, and what they cost.

Sums by group, added up over stretches of time: as small as the number of models and applications.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.advice.history import COLUMNS, Chunk, as_model, billed, priced

if TYPE_CHECKING:
    from processors.post import Price

#: Models that cost most: for each, another one is looked for.
_MODELS: Final = 8
#: How many others are tried, those in use most.
_OTHERS: Final = 12
#: Applications and models that could wait, the dearest.
_WAITING: Final = 40
_NAME: Final = ("provider", "model")
_KEY: Final = ("tenant", *_NAME, "operation", "fallback_from")
_TOKENS: Final = tuple(name for name in COLUMNS if name.endswith("_tokens"))
_REST: Final = tuple(name for name in COLUMNS if name not in (*_KEY, *_TOKENS, "cost_usd"))


@dataclass(frozen=True)
class Survey:
    """One tenant's history.

    Attributes:
        groups: calls that a provider served by model, operation and what they stood in for: the first of them, how
            many (``@calls``), their dollars, and sum and count of each kind of tokens.
        waiting: application and model of calls that were not streamed, the dearest first.
        most_attempts: the highest attempt; None: nobody counted.
    """

    groups: pl.DataFrame
    waiting: list[tuple[str, str]]
    most_attempts: int | None

    def dearest(self) -> list[tuple[str, str]]:
        """Provider and model of the models that cost most."""
        sums = self.groups.group_by(_NAME).agg(pl.col("cost_usd").sum()).filter(pl.col("model") != "")
        return sums.sort("cost_usd", *_NAME, descending=[True, False, False]).select(_NAME).head(_MODELS).rows()

    def fallen_from(self) -> list[str]:
        """Models that others stood in for."""
        return self.groups.filter(pl.col("fallback_from") != "")["fallback_from"].unique().sort().to_list()

    def cheapest(self, mine: pl.Expr, price: Price) -> tuple[str, str] | None:
        """Of the models in use here for the same operations as ``mine``, the one where an average call costs least.

        In use: somebody here found it good enough, and has access. Which one is chosen by the average; what it would
        have cost is then computed call by call.
        """
        groups = self.groups.filter(mine)
        if groups.is_empty():
            return None
        kinds = groups["operation"].unique()
        others = self.groups.filter(pl.col("operation").is_in(kinds.implode()) & (pl.col("model") != ""))
        counted = others.group_by(_NAME).agg(pl.col("@calls").sum())
        names = counted.sort("@calls", *_NAME, descending=[True, False, False]).select(_NAME).head(_OTHERS)
        average = _average(groups)
        trial = pl.concat([as_model(average, *name) for name in names.iter_rows()])
        costs = names.with_columns(cost=priced(trial, price)).drop_nulls("cost").sort("cost", *_NAME)
        own = groups.row(0, named=True)
        best = costs.row(0) if costs.height else None
        return None if best is None or best[:2] == (own["provider"], own["model"]) else (best[0], best[1])


def survey(history: Iterable[Chunk]) -> dict[str, Survey]:
    """Tenant -> what its history has, in the order in which they first called."""
    groups, waiting, attempts = None, None, None
    for chunk in history:
        paid = billed(chunk.calls)
        groups = _more(groups, _groups(paid), [*_KEY], _sums())
        waiting = _more(waiting, _waiting(paid), ["tenant", "application", "model"], [pl.col("cost_usd").sum()])
        most = chunk.calls.group_by("tenant", maintain_order=True).agg(pl.col("attempt").max())
        attempts = _more(attempts, most, ["tenant"], [pl.col("attempt").max()])
    if groups is None or waiting is None or attempts is None:
        return {}
    return {tenant: _of(tenant, groups, waiting, most) for tenant, most in attempts.iter_rows()}


def _of(tenant: str, groups: pl.DataFrame, waiting: pl.DataFrame, most: int | None) -> Survey:
    mine = pl.col("tenant") == tenant
    order = ["cost_usd", "application", "model"]
    dearest = waiting.filter(mine).sort(order, descending=[True, False, False]).head(_WAITING)
    return Survey(groups.filter(mine), dearest.select("application", "model").sort(pl.all()).rows(), most)


def _more(sums: pl.DataFrame | None, new: pl.DataFrame, by: list[str], added: list[pl.Expr]) -> pl.DataFrame:
    both = new if sums is None else pl.concat([sums, new])
    return both.group_by(by, maintain_order=True).agg(added)


def _groups(paid: pl.DataFrame) -> pl.DataFrame:
    return paid.group_by(_KEY, maintain_order=True).agg(
        pl.len().cast(pl.UInt64).alias("@calls"),
        pl.col("cost_usd").sum(),
        *(pl.col(name).cast(pl.UInt64).sum() for name in _TOKENS),
        *(pl.col(name).count().cast(pl.UInt64).alias(f"@{name}") for name in _TOKENS),
        *(pl.col(name).first() for name in _REST),
    )


def _sums() -> list[pl.Expr]:
    added = ["@calls", "cost_usd", *_TOKENS, *(f"@{name}" for name in _TOKENS)]
    return [*(pl.col(name).sum() for name in added), *(pl.col(name).first() for name in _REST)]


def _waiting(paid: pl.DataFrame) -> pl.DataFrame:
    calm = paid.filter(~pl.col("streaming").fill_null(True) & (pl.col("service_tier") != "batch"))
    return calm.group_by("tenant", "application", "model").agg(pl.col("cost_usd").sum())


def _average(groups: pl.DataFrame) -> pl.DataFrame:
    """One call with the average tokens of all of them."""
    means = groups.select(
        pl.when(pl.col(f"@{name}").sum() > 0)
        .then((pl.col(name).sum() / pl.col(f"@{name}").sum()).round())
        .cast(pl.UInt64)
        .alias(name)
        for name in _TOKENS
    )
    return groups.head(1).with_columns(means.get_columns()).select(COLUMNS)
