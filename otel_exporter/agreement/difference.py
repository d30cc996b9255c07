"""What two sides of the books differ in, split until nothing is left: every cent of the residual has one name.

For each day and each team, key and model: ``ours - theirs`` is the sum of

- `unseen`: calls only they have (negative), `only_ours`: calls only we have;
- of calls both have: `cache_hits` (either side says the gateway's cache answered), `rounding` (at most a billionth of a
  dollar a call), `prices` (everything else);
- `time_zone`: the same call on another day there, `attribution`: under another team, key or model. These move money
  between cells: over all cells they sum to zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

import polars as pl

from processors.contract import MOMENT, MONEY

PARTS: Final = ("unseen", "only_ours", "cache_hits", "prices", "rounding", "time_zone", "attribution")
#: What is left of a double that was printed and read, a call.
ROUNDING_USD: Final = Decimal("0.000000001")
#: Dimension -> the column of both sides that names its members.
DIMENSIONS: Final = {"total": "", "team": "team", "key": "api_key", "model": "model"}
_COUNTS: Final = ("theirs_calls", "ours_calls", "unseen_calls", "only_ours_calls")
_ZERO: Final = pl.lit(0).cast(MONEY)


def pairs(theirs: pl.DataFrame, ours: pl.DataFrame, since: datetime, until: datetime) -> pl.DataFrame:
    """Calls of both sides beside each other (their columns, ours behind ``o_``); null where a side has none.

    Only what began from ``since`` and before ``until`` by their books, or by ours if they have not got it. Of our calls
    without a counterpart those that passed the gateway. An id that was used again is paired in the order of time.
    """
    inside = pl.col("started_at").is_between(since, until, closed="left")
    numbered = [_numbered(side) for side in (theirs, ours)]
    both = numbered[0].join(_prefixed(numbered[1]), left_on=["key", "nth"], right_on=["o_key", "o_nth"], how="left")
    twice = pl.col("o_call").is_not_null() & ~pl.col("o_call").is_first_distinct()
    other = [name for name in both.columns if name.startswith("o_")]
    both = both.with_columns(pl.when(~twice).then(pl.col(name)).alias(name) for name in other)
    met = both["o_call"].drop_nulls().implode()
    both = both.filter(inside)
    alone = ours.filter(inside & pl.col("gateway") & ~pl.col("call").is_in(met)).unique("call", maintain_order=True)
    return pl.concat([both.drop("nth"), _prefixed(alone).drop("o_key")], how="diagonal")


def differences(paired: pl.DataFrame) -> pl.DataFrame:
    """One row a dimension, member and day: dollars and calls of both sides, and the parts of what they differ in."""
    return pl.concat([_cells(paired, name, column) for name, column in DIMENSIONS.items()])


def whole(cells: pl.DataFrame, *by: str) -> pl.DataFrame:
    """The cells summed up, by these columns."""
    sums = [pl.col(name).sum() for name in cells.columns if name.endswith("_usd") or name in _COUNTS]
    return cells.group_by(*by, maintain_order=True).agg(sums).sort(by)


def together(days: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The cells of several stretches of time as if they had been compared at once."""
    named = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in (("dimension", pl.String), ("day", MOMENT), ("member", pl.String))
    ]
    cells = pl.concat([_whole_row().select(*named, pl.all()), *days])
    order = pl.col("dimension").replace_strict({name: place for place, name in enumerate(DIMENSIONS)})
    sums = [pl.col(name).sum() for name in cells.columns if name.endswith("_usd") or name in _COUNTS]
    return cells.group_by("dimension", "day", "member").agg(sums).sort(order, "day", "member")


def disagreement(cells: pl.DataFrame) -> Decimal:
    """Share of their dollars that the sides do not agree about: calls one side lacks, cache hits, prices.

    Rounding, and money that only lies on another day or under another name, is no disagreement about money.
    """
    total = cells.filter(pl.col("dimension") == "total")
    parts = [total[f"{part}_usd"].abs().sum() for part in ("unseen", "only_ours", "cache_hits", "prices")]
    apart, theirs = sum(map(Decimal, parts), Decimal(0)), Decimal(total["theirs_usd"].sum())
    if not apart:
        return Decimal(0)
    return apart / theirs if theirs else Decimal("Infinity")


def _numbered(side: pl.DataFrame) -> pl.DataFrame:
    return side.sort("started_at", maintain_order=True).with_columns(nth=pl.int_range(pl.len()).over("key"))


def _prefixed(side: pl.DataFrame) -> pl.DataFrame:
    return side.rename(lambda name: f"o_{name}")


def _cells(paired: pl.DataFrame, dimension: str, column: str) -> pl.DataFrame:
    there, here = _place(column), _place(column, "o_")
    they, we = pl.col("usd").is_not_null(), pl.col("o_usd").is_not_null()
    rows = paired.with_columns(**there, **here).with_columns(
        same_day=pl.col("day") == pl.col("o_day"),
        same=(pl.col("day") == pl.col("o_day")) & (pl.col("member") == pl.col("o_member")),
        gap=pl.col("o_usd") - pl.col("usd"),
    )
    met = rows.filter(they & we)
    moved = met.filter(~pl.col("same"))
    booked = rows.filter(they).select("day", "member", theirs_usd="usd", theirs_calls=1)
    held = rows.filter(we).select(
        *_at_ours(), ours_usd="o_usd", ours_calls=1, imported_usd=pl.when("o_imported").then("o_usd").otherwise(_ZERO)
    )
    parts = [
        booked,
        held,
        rows.filter(they & ~we).select("day", "member", unseen_usd=-pl.col("usd"), unseen_calls=1),
        rows.filter(we & ~they).select(*_at_ours(), only_ours_usd="o_usd", only_ours_calls=1),
        met.select(*_at_ours(), **_reasons()),
        moved.select("day", "member", **_moves(-pl.col("usd"))),
        moved.select(*_at_ours(), **_moves(pl.col("usd"))),
    ]
    sums = pl.concat([_whole_row(), *parts], how="diagonal_relaxed").group_by("day", "member").agg(
        *(pl.col(f"{name}_usd").sum().cast(MONEY) for name in ("theirs", "ours", *PARTS, "imported")),
        *(pl.col(name).sum().cast(pl.Int64) for name in _COUNTS),
    )  # fmt: skip
    return sums.select(pl.lit(dimension).alias("dimension"), pl.all()).sort("day", "member")


def _place(column: str, side: str = "") -> dict[str, pl.Expr]:
    member = pl.col(side + column) if column else pl.lit("")
    return {f"{side}day": pl.col(f"{side}started_at").dt.truncate("1d"), f"{side}member": member}


def _at_ours() -> tuple[pl.Expr, pl.Expr]:
    return pl.col("o_day").alias("day"), pl.col("o_member").alias("member")


def _reasons() -> dict[str, pl.Expr]:
    """Why a call costs something else on the other side."""
    hit, little = pl.col("hit") | pl.col("o_hit"), pl.col("gap").abs() <= pl.lit(ROUNDING_USD).cast(MONEY)
    return {
        "cache_hits_usd": pl.when(hit).then("gap").otherwise(_ZERO),
        "rounding_usd": pl.when(~hit & little).then("gap").otherwise(_ZERO),
        "prices_usd": pl.when(~hit & ~little).then("gap").otherwise(_ZERO),
    }


def _moves(amount: pl.Expr) -> dict[str, pl.Expr]:
    return {
        "time_zone_usd": pl.when(~pl.col("same_day")).then(amount).otherwise(_ZERO),
        "attribution_usd": pl.when("same_day").then(amount).otherwise(_ZERO),
    }


def _whole_row() -> pl.DataFrame:
    """No row, all columns."""
    money = {f"{name}_usd": MONEY for name in ("theirs", "ours", *PARTS, "imported")}
    return pl.DataFrame(schema=money | dict.fromkeys(_COUNTS, pl.Int64))
