"""A budget that was not there: which requests it would have refused, and whose.

As LiteLLM enforces budgets: a request is refused when what its team has spent in the period so far, by the calls that
ended before it began, has reached the limit. Spending only grows within a period, so from the moment the limit is
reached everything is refused, and every call that counts towards it had been let through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

import polars as pl

from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Table

PERIODS: Final = {"day": "1d", "week": "1w", "month": "1mo"}
_SAID: Final = re.compile(
    r"(team|user_id|api_key_alias|application|project|cost_center)(?::(.+))?=([0-9.]+)/(day|week|month)"
)


@dataclass(frozen=True)
class Budget:
    """``limit_usd`` a ``period`` for each value of the column ``axis``, or for ``value`` alone."""

    axis: str
    value: str | None
    limit_usd: Decimal
    period: str


def parse(text: str) -> Budget:
    """``team=40/day``: for every team; ``team:search=40/day``: for one.

    Raises:
        Refused: it is not of this form.
    """
    found = _SAID.fullmatch(text)
    try:
        if found:
            return Budget(found[1], found[2], Decimal(found[3]), found[4])
    except InvalidOperation:
        pass
    raise Refused(Reason.MALFORMED, f"{text!r} is no budget such as team=40/day or team:search=40/day")


def refused(calls: pl.DataFrame, budget: Budget, timezone: str) -> pl.DataFrame:
    """The calls that would have been refused, with ``period`` (its first moment), ``spent_usd`` and ``reached_at``.

    A call counts in the period it started in. A call whose cost is unknown counts nothing.
    """
    if budget.value is not None:
        calls = calls.filter(pl.col(budget.axis) == budget.value)
    local = pl.col("started_at").dt.convert_time_zone(timezone).dt.truncate(PERIODS[budget.period])
    rows = calls.with_columns(period=local, who=pl.col(budget.axis))
    key = ["tenant", "who", "period"]
    spent = rows.sort("ended_at", "call_key").with_columns(
        spent_usd=pl.col("cost_usd").fill_null(0).cum_sum().over(key)
    )
    over = spent.filter(pl.col("spent_usd") >= budget.limit_usd)
    reached = over.group_by(key).agg(pl.col("ended_at").min().alias("reached_at"))
    return (
        rows.join(reached, on=key).filter(pl.col("started_at") >= pl.col("reached_at")).sort("started_at", "call_key")
    )


def table(calls: pl.DataFrame, gone: pl.DataFrame, budget: Budget) -> Table:
    """Who would have been refused, how often, and what of the money was not spent; the most affected first.

    A request is counted once, however often it was tried.
    """
    asked = calls if budget.value is None else calls.filter(pl.col(budget.axis) == budget.value)
    all_of = asked.group_by("tenant", who=pl.col(budget.axis)).agg(_requests().alias("requests"))
    rows = gone.group_by("tenant", "who").agg(
        _requests().alias("refused"),
        pl.col("cost_usd").sum().alias("not_spent_usd"),
        pl.col("cost_usd").is_null().sum().alias("unknown_calls"),
        pl.col("period").n_unique().alias("periods"),
        pl.col("reached_at").min().alias("first_reached"),
        pl.when(pl.col("user_id") != "").then("user_id").otherwise("api_key_alias").alias("@by"),
    )
    whole = rows.join(all_of, on=["tenant", "who"]).sort("refused", "tenant", "who", descending=[True, False, False])
    return Table.of((_row(row, budget) for row in whole.iter_rows(named=True)), f"Refused by {_words(budget)}")


def _requests() -> pl.Expr:
    return pl.when(pl.col("request_key") != "").then("request_key").otherwise("call_key").n_unique()


def _words(budget: Budget) -> str:
    whom = f"each {budget.axis}" if budget.value is None else f"{budget.axis} {budget.value}"
    return f"${budget.limit_usd} a {budget.period} for {whom}"


def _row(row: dict[str, object], budget: Budget) -> dict[str, object]:
    names = row["@by"]
    assert isinstance(names, list)
    by = pl.Series(names, dtype=pl.String).value_counts(sort=True).sort("count", "", descending=[True, False])
    return {
        budget.axis: row["who"],
        "requests": row["requests"],
        "refused": row["refused"],
        "not_spent_usd": row["not_spent_usd"],
        "unknown_calls": row["unknown_calls"],
        "periods": row["periods"],
        "first_reached": row["first_reached"],
        "most_of_them": ", ".join(f"{name or 'nobody named'} ({count})" for name, count in by.head(3).iter_rows()),
    }
