"""Which number is charged, and why: what was reported against what the price book says (docs/prices.md).

The ledger's promise holds in every case: `cost_usd` = input + output + cache + other - discount + margin, exactly.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import polars as pl

from processors.contract import MONEY, TEXTS
from processors.prices.rates import PRICE
from processors.prices.terms import Charge, Policy

#: A reported double and our exact number are the same price when they differ by less than this share of it ...
_AGREE_SHARE: Final = 1e-9
#: ... or by less than the ledger's last digit.
_AGREE_USD: Final = 1e-12
_LARGEST_USD: Final = Decimal(10**9)

UNPRICED_MODEL: Final = "unpriced_model"  # nobody knows a price for this model
UNPRICED_UNIT: Final = "unpriced_unit"  # its price is per second, image, character ...: what telemetry does not count
TOKENS_UNKNOWN: Final = "tokens_unknown"  # a successful call without token counts
TOKENS_CONTRADICT: Final = "tokens_contradict"  # parts that are more than the whole they are part of
COST_CONTRADICTED: Final = "cost_contradicted"  # 0 was reported for a call that costs something
COST_IMPLAUSIBLE: Final = "cost_implausible"  # a reported cost below zero or beyond all sense
PRICED_BY_SIZE: Final = "priced_by_size"  # by the parameter count in the model's name
#: Issues that only pricing finds: pricing again starts without them.
ISSUES: Final = (
    UNPRICED_MODEL, UNPRICED_UNIT, TOKENS_CONTRADICT, COST_CONTRADICTED, COST_IMPLAUSIBLE, PRICED_BY_SIZE,
)  # fmt: skip
_REPORTERS: Final = ("provider", "gateway", "client")
_ZERO: Final = pl.lit(Decimal(0), MONEY)
_NULL: Final = pl.lit(None, MONEY)
_PARTS: Final = ("input", "output", "cache", "other", "discount", "margin")


def with_charge(calls: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """``calls`` (from `arithmetic.with_local_price`) with the money columns of the contract and their issues."""
    calls = calls.with_columns(
        _reported().alias("@said"),
        _reporter().alias("@reporter"),
        pl.col("cache_hit").fill_null(False).alias("@hit"),
    )
    calls = calls.with_columns(_failed_for_nothing().alias("@failed"), _believed(policy).alias("@reported"))
    calls = calls.with_columns(_agrees().alias("@agrees"))
    calls = calls.with_columns(_case(policy).alias("@case"))
    calls = calls.with_columns(*_reported_terms(policy))
    return calls.with_columns(*_money(), *_words()).with_columns(_issues())


def _reported() -> pl.Expr:
    """The reported cost, unless it makes no sense."""
    said = pl.col("cost_reported_usd").cast(MONEY, strict=False)
    return pl.when((said >= 0) & (said <= _LARGEST_USD)).then(said)


def _reporter() -> pl.Expr:
    """Who reported: as the join says, else as it was posted before, else by whether a gateway was there."""
    told = [pl.when(pl.col(name).is_in(_REPORTERS)).then(name) for name in ("reported_by", "cost_source")]
    by_gateway = pl.when(pl.col("gateway").fill_null("") != "").then(pl.lit("gateway")).otherwise(pl.lit("client"))
    return pl.coalesce(*told, by_gateway)


def _failed_for_nothing() -> pl.Expr:
    """A failed call that answered nothing, and for which nobody reported a cost, was not billed."""
    answered = pl.col("@out").fill_null(0) > 0
    return (pl.col("status") == "error").fill_null(False) & ~answered & (pl.col("@said").fill_null(_ZERO) == _ZERO)


def _contradicted() -> pl.Expr:
    """0 was reported for a successful call with tokens that the price book prices."""
    succeeded = (pl.col("status") != "error").fill_null(True) & ~pl.col("@hit")
    zero = (pl.col("@said") == _ZERO).fill_null(False)
    return succeeded & zero & (pl.col("@local") > _ZERO).fill_null(False)


def _believed(policy: Policy) -> pl.Expr:
    """The reported cost as far as it is to be believed: a 0 counts only where the call may really be free."""
    said, local = pl.col("@said"), pl.col("@local")
    tokens = pl.col("@in").is_not_null() & pl.col("@out").is_not_null()
    free = (local == _ZERO).fill_null(False) | (pl.col("status") == "error").fill_null(False)
    if policy.believe_zero:
        free = free | (local.is_null() & tokens)
    return pl.when((said > _ZERO) | free).then(said)


def _agrees() -> pl.Expr:
    """Whether the reported number is ours, before or after discount and margin, but for the noise of a double."""

    def same(ours: str) -> pl.Expr:
        exact = pl.col(ours).cast(pl.Float64)
        apart = (pl.col("@reported") - pl.col(ours)).cast(pl.Float64).abs()
        return apart <= pl.max_horizontal(exact.abs() * _AGREE_SHARE, pl.lit(_AGREE_USD))

    return (same("@gross") | same("@local")).fill_null(False)


def _case(policy: Policy) -> pl.Expr:
    """What kind of charge it is: hit, failed, reported, agreed (both), local, unknown."""
    reported, local = pl.col("@reported").is_not_null(), pl.col("@local").is_not_null()
    case = pl.when("@hit").then(pl.lit("hit")).when("@failed").then(pl.lit("failed"))
    if policy.charge is Charge.LOCAL:
        case = case.when(local).then(pl.lit("local")).when(reported).then(pl.lit("reported"))
        return case.otherwise(pl.lit("unknown"))
    case = case.when(reported & pl.col("@agrees")).then(pl.lit("agreed")).when(reported).then(pl.lit("reported"))
    if policy.charge is Charge.REPORTED:
        case = case.when(local).then(pl.lit("local"))
    return case.otherwise(pl.lit("unknown"))


def _reported_terms(policy: Policy) -> list[pl.Expr]:
    """Discount and margin of a charged reported number, unless whoever reported it has applied them."""
    net = pl.col("@reporter").is_in(sorted(policy.already_net))
    base = pl.col("@reported").cast(PRICE)
    off = (base * pl.col("~discount")).fill_null(pl.lit(Decimal(0), PRICE)).cast(MONEY)
    added = ((base - off.cast(PRICE)) * pl.col("~margin") + pl.col("~margin_per_call")).fill_null(
        pl.lit(Decimal(0), PRICE)
    )
    return [
        pl.when(net).then(_ZERO).otherwise(off).alias("@reported_discount"),
        pl.when(net).then(_ZERO).otherwise(added.cast(MONEY)).alias("@reported_margin"),
    ]


def _money() -> list[pl.Expr]:
    case = pl.col("@case")
    nothing, ours, theirs = case.is_in(["hit", "failed"]), case.is_in(["agreed", "local"]), case == "reported"

    def part(name: str, reported: pl.Expr) -> pl.Expr:
        own = pl.when(ours).then(pl.col(f"@{name}"))
        return own.when(nothing).then(_ZERO).when(theirs).then(reported).otherwise(_NULL)

    kept = {name: pl.col(f"@{name}").fill_null(_ZERO) for name in ("input", "output", "cache")}
    beyond = pl.col("@reported") - kept["input"] - kept["output"] - kept["cache"]
    discount, margin = pl.col("@reported_discount"), pl.col("@reported_margin")
    saved = pl.when(pl.col("@said") > _ZERO).then(pl.col("@said")).otherwise(pl.col("@local"))
    return [
        *(part(name, value).alias(f"cost_{name}_usd") for name, value in kept.items()),
        part("other", beyond).alias("cost_other_usd"),
        part("discount", discount).alias("discount_usd"),
        part("margin", margin).alias("margin_usd"),
        part("local", pl.col("@reported") - discount + margin).alias("cost_usd"),
        pl.when(nothing).then(_ZERO).otherwise(pl.col("@local")).alias("cost_local_usd"),
        pl.when(case == "hit").then(saved).otherwise(_NULL).alias("saved_usd"),
    ]


def _words() -> list[pl.Expr]:
    case = pl.col("@case")
    source = (
        pl.when(case == "hit")
        .then(pl.lit("gateway"))
        .when(case.is_in(["agreed", "reported"]))
        .then("@reporter")
        .when(case == "local")
        .then(pl.lit("local"))
        .otherwise(pl.lit("none"))
    )
    priced = pl.col("@local").is_not_null() & (case != "failed")
    version = pl.when(priced).then(pl.col("~version")).otherwise(pl.lit("")).fill_null("")
    return [source.alias("cost_source"), version.alias("price_version")]


def _issues() -> pl.Expr:
    """The call's issues: what others found, and what pricing found, sorted."""
    unknown = pl.col("@case") == "unknown"
    tokens = pl.col("@in").is_not_null() & pl.col("@out").is_not_null()
    no_price = (pl.col("~version").fill_null("") == "") & (pl.col("~entry").fill_null("") == "")
    succeeded = (pl.col("status") != "error").fill_null(True)
    conditions = {
        UNPRICED_MODEL: unknown & no_price,
        UNPRICED_UNIT: unknown & ~no_price & tokens & pl.col("@local").is_null(),
        TOKENS_UNKNOWN: succeeded & ~tokens & ~pl.col("@hit"),
        TOKENS_CONTRADICT: _parts_exceed(),
        COST_CONTRADICTED: _contradicted(),
        COST_IMPLAUSIBLE: pl.col("cost_reported_usd").is_not_null() & pl.col("@said").is_null(),
        PRICED_BY_SIZE: pl.col("~by_size").fill_null(False) & (pl.col("@case") == "local"),
    }
    found = pl.concat_list(pl.when(condition).then(pl.lit(name)) for name, condition in conditions.items())
    others = pl.col("issues").fill_null(pl.lit([], TEXTS)).list.set_difference(pl.lit(list(ISSUES), TEXTS))
    return pl.concat_list(others, found.list.drop_nulls()).list.unique().list.sort().alias("issues")


def _parts_exceed() -> pl.Expr:
    """Cached tokens beyond the input, or reasoning beyond the output."""
    write = pl.max_horizontal("cache_write_tokens", "cache_write_1h_tokens")
    cached = pl.col("cache_read_tokens").fill_null(0) + write.fill_null(0)
    beyond_input = (cached > pl.col("input_tokens")).fill_null(False)
    return beyond_input | (pl.col("reasoning_tokens") > pl.col("output_tokens")).fill_null(False)
