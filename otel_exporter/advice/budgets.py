"""A budget that was not there: which requests it would have refused, and whose.

As LiteLLM enforces budgets: a request is refused when what its team has spent in the period so far, by the calls that
ended before it began, has reached the limit. Spending only grows within a period, so from the moment the limit is
reached everything is refused, and every call that counts towards it had been let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

import polars as pl

from otel_exporter.advice.history import Chunk
from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Table

PERIODS: Final = {"day": "1d", "week": "1w", "month": "1mo"}
_SAID: Final = re.compile(
    r"(team|user_id|api_key_alias|application|project|cost_center)(?::(.+))?=([0-9.]+)/(day|week|month)"
)
_KEY: Final = ("tenant", "who", "period")
#: A request that is tried again later than this counts once more.
_TRIED_WITHIN: Final = timedelta(hours=1)
_BY: Final = pl.when(pl.col("user_id") != "").then("user_id").otherwise("api_key_alias")
_SUMS: Final = (
    pl.col("cost_usd").sum().alias("not_spent_usd"),
    pl.col("cost_usd").is_null().sum().alias("unknown_calls"),
    pl.col("reached_at").min().alias("first_reached"),
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


def reached(history: Iterable[Chunk], budget: Budget, timezone: str) -> pl.DataFrame:
    """tenant, who, period (its first moment), ``reached_at``: when the limit was spent, where it was.

    A call counts in the period it started in, when it has ended. A call whose cost is unknown counts nothing. Held in
    memory are the calls that have not ended yet, and a sum for each member and period.
    """
    state = _State(budget.limit_usd)
    for chunk in history:
        state.take(_of(chunk.calls, budget, timezone), chunk.until)
    return state.done()


class _State:
    """What each member has spent so far, in the order in which calls end."""

    def __init__(self, limit: Decimal) -> None:
        self._limit = limit
        self._waiting: pl.DataFrame | None = None
        self._spent: pl.DataFrame | None = None
        self._reached: list[pl.DataFrame] = []

    def take(self, rows: pl.DataFrame, until: datetime) -> None:
        """Calls that started before ``until``; none of a later chunk did."""
        seen = rows.select(*_KEY, "ended_at", "call_key", "cost_usd")
        seen = seen if self._waiting is None else pl.concat([self._waiting, seen])
        over = pl.col("ended_at") < until
        self._add(seen.filter(over))
        self._waiting = seen.filter(~over)

    def done(self) -> pl.DataFrame:
        """Nothing comes any more."""
        if self._waiting is not None:
            self._add(self._waiting)
        found = pl.concat(self._reached) if self._reached else pl.DataFrame()
        return found.group_by(_KEY).agg(pl.col("reached_at").min()) if found.height else found

    def _add(self, ended: pl.DataFrame) -> None:
        costs = ended.sort("ended_at", "call_key").with_columns(pl.col("cost_usd").fill_null(0))
        sums = costs.with_columns(spent_usd=pl.col("cost_usd").cum_sum().over(_KEY))
        if self._spent is not None:
            before = sums.join(self._spent, on=_KEY, how="left", maintain_order="left")["before"].fill_null(0)
            sums = sums.with_columns(spent_usd=pl.col("spent_usd") + before)
        over = sums.filter(pl.col("spent_usd") >= self._limit)
        if over.height:
            self._reached.append(over.group_by(_KEY).agg(pl.col("ended_at").min().alias("reached_at")))
        added = costs.group_by(_KEY).agg(pl.col("cost_usd").sum().alias("before"))
        both = added if self._spent is None else pl.concat([self._spent, added])
        self._spent = both.group_by(_KEY).agg(pl.col("before").sum())


def refused(calls: pl.DataFrame, reached_at: pl.DataFrame, budget: Budget, timezone: str) -> pl.DataFrame:
    """The calls that would have been refused, with ``who``, ``period`` and ``reached_at``."""
    rows = _of(calls, budget, timezone)
    if reached_at.is_empty():
        return rows.clear().with_columns(reached_at=pl.col("ended_at"))
    after = rows.join(reached_at, on=_KEY, maintain_order="left").filter(pl.col("started_at") >= pl.col("reached_at"))
    return after.sort("started_at", "call_key")


def _of(calls: pl.DataFrame, budget: Budget, timezone: str) -> pl.DataFrame:
    if budget.value is not None:
        calls = calls.filter(pl.col(budget.axis) == budget.value)
    local = pl.col("started_at").dt.convert_time_zone(timezone).dt.truncate(PERIODS[budget.period])
    return calls.with_columns(period=local, who=pl.col(budget.axis))


def table(history: Iterable[Chunk], budget: Budget, timezone: str) -> Table:
    """Who would have been refused, how often, and what of the money was not spent; the most affected first.

    A request is counted once, however often it was tried within an hour. ``history`` is gone through twice.
    """
    reached_at = reached(history, budget, timezone)
    asked, turned_away = _Requests(), _Requests()
    sums: list[pl.DataFrame] = []
    people: list[pl.DataFrame] = []
    for chunk in history if reached_at.height else ():
        asked.take(_of(chunk.calls, budget, timezone), chunk.until)
        gone = refused(chunk.calls, reached_at, budget, timezone)
        turned_away.take(gone, chunk.until)
        sums.append(gone.group_by(*_KEY).agg(*_SUMS))
        people.append(gone.group_by("tenant", "who", _BY.alias("name")).agg(pl.len()))
    if not sums:
        return Table.of((), f"Refused by {_words(budget)}")
    named = pl.concat(people).group_by("tenant", "who", "name").agg(pl.col("len").sum())
    rows = pl.concat(sums).group_by("tenant", "who").agg(
        pl.col("not_spent_usd", "unknown_calls").sum(),
        pl.col("period").n_unique().alias("periods"),
        pl.col("first_reached").min(),
    )  # fmt: skip
    whole = (
        rows.join(asked.counted("requests"), on=["tenant", "who"])
        .join(turned_away.counted("refused"), on=["tenant", "who"])
        .join(named.group_by("tenant", "who").agg(pl.struct("name", "len").alias("@by")), on=["tenant", "who"])
        .sort("refused", "tenant", "who", descending=[True, False, False])
    )
    return Table.of((_row(row, budget) for row in whole.iter_rows(named=True)), f"Refused by {_words(budget)}")


class _Requests:
    """Counts requests by tenant and member; remembers those of the last hour, which may be tried again."""

    def __init__(self) -> None:
        self._counts: list[pl.DataFrame] = []
        self._recent: pl.DataFrame | None = None

    def take(self, rows: pl.DataFrame, until: datetime) -> None:
        """Rows of the next chunk, which started before ``until``."""
        by = ["tenant", "who", "request"]
        seen = rows.select("tenant", "who", _request().alias("request"), "started_at")
        met = seen.group_by(by).agg(pl.col("started_at").max())
        new = met if self._recent is None else met.join(self._recent, on=by, how="anti")
        self._counts.append(new.group_by("tenant", "who").len())
        both = met if self._recent is None else pl.concat([self._recent, met])
        self._recent = both.filter(pl.col("started_at") >= until - _TRIED_WITHIN)

    def counted(self, name: str) -> pl.DataFrame:
        """tenant, who, and how many."""
        return pl.concat(self._counts).group_by("tenant", "who").agg(pl.col("len").sum().alias(name))


def _request() -> pl.Expr:
    return pl.when(pl.col("request_key") != "").then("request_key").otherwise("call_key")


def _words(budget: Budget) -> str:
    whom = f"each {budget.axis}" if budget.value is None else f"{budget.axis} {budget.value}"
    return f"${budget.limit_usd} a {budget.period} for {whom}"


def _row(row: dict[str, object], budget: Budget) -> dict[str, object]:
    names = row["@by"]
    assert isinstance(names, list)
    by = sorted(((one["name"], one["len"]) for one in names), key=lambda one: (-one[1], one[0]))
    return {
        budget.axis: row["who"],
        "requests": row["requests"],
        "refused": row["refused"],
        "not_spent_usd": row["not_spent_usd"],
        "unknown_calls": row["unknown_calls"],
        "periods": row["periods"],
        "first_reached": row["first_reached"],
        "most_of_them": ", ".join(f"{name or 'nobody named'} ({count})" for name, count in by[:3]),
    }
