"""A statement in FOCUS, the FinOps Open Cost and Usage Specification, version 1.2 (https://focus.finops.org).

One charge a row of the statement. An adjustment is a `Correction` of the period its calls were in, billed in the
statement's own. FOCUS knows no unknown cost, so rows without any known cost are left out here (the CSV has them);
`x_UnpricedCalls` of the others says how many of their calls have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from processors.contract import MONEY

if TYPE_CHECKING:
    from datetime import datetime

    from forecasting.periods import Span

VERSION: Final = "1.2"
_NOTHING: Final = pl.lit(Decimal(0), MONEY)
_TAGS: Final = ("organization", "cost_center", "team", "project")
#: Columns that are there because FOCUS 1.0 wants them, and that telemetry cannot fill.
_EMPTY: Final = (
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountStatus",
    "CommitmentDiscountType", "ContractedUnitPrice", "ListUnitPrice", "RegionId", "RegionName",
    "ResourceId", "ResourceName", "ResourceType",
)  # fmt: skip
#: Our own columns: FOCUS wants them to begin with x_.
_OWN: Final = {
    "x_Model": "model",
    "x_OfPeriod": "of_period",
    "x_Calls": "calls",
    "x_Errors": "errors",
    "x_UnpricedCalls": "unpriced_calls",
    "x_InputTokens": "input_tokens",
    "x_CacheReadTokens": "cache_read_tokens",
    "x_CacheWriteTokens": "cache_write_tokens",
    "x_OutputTokens": "output_tokens",
    "x_ReasoningTokens": "reasoning_tokens",
}


def frame(rows: pl.DataFrame, spans: Mapping[str, Span], period: str) -> pl.DataFrame:
    """The charges of a statement, columns in alphabetical order, our own last.

    Args:
        rows: a statement (`otel_exporter.books.statement.SCHEMA`, without the closing's id).
        spans: of ``period`` and of every period that rows are of.
        period: the statement's own.
    """
    known = rows.filter(pl.col("cost_usd").is_not_null())
    focus = {
        **_costs(),
        **_periods(spans, period),
        **_what(),
        **_quantities(),
        **{name: pl.lit(None, pl.String) for name in _EMPTY},
    }
    own = {name: pl.col(column) for name, column in _OWN.items()}
    ordered = {**dict(sorted(focus.items())), **own}
    return known.select(value.alias(name) for name, value in ordered.items())


def _costs() -> dict[str, pl.Expr]:
    """Billed is what we charge; listed is before our own discounts and margins."""
    cost = pl.col("cost_usd")
    listed = cost + pl.col("discount_usd").fill_null(_NOTHING) - pl.col("margin_usd").fill_null(_NOTHING)
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ContractedCost": cost,
        "ListCost": listed.cast(MONEY),
        "BillingCurrency": pl.lit("USD"),
    }


def _periods(spans: Mapping[str, Span], period: str) -> dict[str, pl.Expr]:
    starts = {name: _iso(span.start) for name, span in spans.items()}
    ends = {name: _iso(span.end) for name, span in spans.items()}
    return {
        "InvoiceId": pl.lit(f"statement-{period}"),  # what is charged back is charged by this statement
        "BillingPeriodStart": pl.lit(starts[period]),
        "BillingPeriodEnd": pl.lit(ends[period]),
        "ChargePeriodStart": pl.col("of_period").replace_strict(starts, return_dtype=pl.String),
        "ChargePeriodEnd": pl.col("of_period").replace_strict(ends, return_dtype=pl.String),
    }


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _what() -> dict[str, pl.Expr]:
    provider = _or_unknown("provider")
    corrects = pl.col("kind") == "adjustment"
    words = pl.format("Calls of {} in {}", _or_unknown("model"), "of_period")
    team = pl.when(pl.col("team") != "").then("team")
    return {
        "BillingAccountId": pl.col("tenant"),
        "BillingAccountName": pl.col("tenant"),
        "SubAccountId": team,
        "SubAccountName": team,
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceCategory": pl.lit("AI and Machine Learning"),
        "ServiceSubcategory": pl.lit("Generative AI"),
        "ServiceName": pl.format("{} API", provider),
        "ChargeCategory": pl.lit("Usage"),
        "ChargeClass": pl.when(corrects).then(pl.lit("Correction")),
        "ChargeDescription": pl.when(corrects)
        .then(pl.format("{}, posted after it was closed", words))
        .otherwise(words),
        "ChargeFrequency": pl.lit("Usage-Based"),
        "PricingCategory": pl.lit("Standard"),
        "SkuId": pl.format("{}/{}", provider, _or_unknown("model")),
        "SkuPriceId": pl.format("{}/{}", provider, _or_unknown("model")),
        "Tags": pl.struct(_TAGS).map_elements(_tags, pl.String),
    }


def _or_unknown(name: str) -> pl.Expr:
    return pl.when(pl.col(name) == "").then(pl.lit("unknown")).otherwise(name)


def _tags(row: Mapping[str, str]) -> str:
    return json.dumps({name: value for name, value in row.items() if value}, sort_keys=True)


def _quantities() -> dict[str, pl.Expr]:
    """Input and output together; a unit only where there is a quantity."""
    either = pl.col("input_tokens").is_not_null() | pl.col("output_tokens").is_not_null()
    tokens = pl.when(either).then(pl.col("input_tokens").fill_null(0) + pl.col("output_tokens").fill_null(0))
    quantity = tokens.cast(pl.Decimal(38, 1))  # FOCUS wants decimals, and validators look for the point
    unit = pl.when(either).then(pl.lit("Tokens"))
    return {"ConsumedQuantity": quantity, "ConsumedUnit": unit, "PricingQuantity": quantity, "PricingUnit": unit}
