"""Pricing again changes money and nothing else, whatever portions the ledger is read in."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.contract import LEDGER_SCHEMA, OBSERVATION_SCHEMA
from processors.post import Price, collapse, handles, post
from processors.price import PriceBook
from processors.prices.terms import Charge, Policy
from processors.reprice import reprice
from tests.unit.processors.worlds import Call, frame, observations_of, worlds

THEN = datetime(2026, 11, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 3, tzinfo=UTC)
MONEY = ("cost_usd", "cost_local_usd", "discount_usd", "margin_usd", "saved_usd")


@cache
def book(dollars: str, charge: Charge = Charge.REPORTED) -> Price:
    """Prices gpt-4o-mini at ``dollars`` a million tokens, in and out."""
    each = Decimal(dollars) / 10**6
    prices: dict[str, Any] = {"input_cost_per_token": each, "output_cost_per_token": each}
    table = {"gpt-4o-mini": {"litellm_provider": "openai", "mode": "chat", **prices}}
    return PriceBook(table, version=f"book-{dollars}", policy=Policy(charge=charge)).price


def posted(rows: list[dict[str, object]], price: Price) -> pl.DataFrame:
    """A ledger that got these observations in two batches."""
    ledger = pl.DataFrame(schema=LEDGER_SCHEMA)
    for part in filter(None, (rows[::2], rows[1::2])):
        batch = frame(part)
        found = ledger.filter(pl.col("handles").list.eval(pl.element().is_in(handles(batch))).list.any())
        ledger = pl.concat([ledger, post(batch, found, price, THEN)])
    return ledger


def total(entries: pl.DataFrame, column: str) -> Decimal:
    """The signed sum, exact."""
    return sum((row[column] * row["sign"] for row in entries.to_dicts() if row[column] is not None), Decimal(0))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.sampled_from(Charge), st.integers(1, 4))
def test_it_equals_posting_anew_at_the_new_price(calls: list[Call], charge: Charge, portions: int) -> None:
    """Read in any portions, the ledger ends as if every observation had been posted at the new price."""
    rows = observations_of(calls)
    ledger = posted(rows, book("10", charge))
    part = pl.col("call_key").hash() % portions
    again = [reprice(ledger.filter(part == number), book("20", charge), NOW) for number in range(portions)]
    after = pl.concat([ledger, *again])
    nobody = pl.DataFrame(schema=OBSERVATION_SCHEMA)
    anew = pl.concat([ledger, post(nobody, ledger, book("20", charge), NOW, reprice=True)])
    assert _standing(after) == _standing(anew)
    assert {entry["version"] for entry in collapse(after).to_dicts()} == {
        entry["version"] for entry in collapse(anew).to_dicts()
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_before_plus_difference_is_after(calls: list[Call]) -> None:
    """The postings' signed sums are exactly the difference of the ledger's; calls and tokens stay what they are."""
    ledger = posted(observations_of(calls), book("10", Charge.LOCAL))
    entries = reprice(ledger, book("30", Charge.LOCAL), NOW)
    after = pl.concat([ledger, entries])
    for column in MONEY:
        assert total(ledger, column) + total(entries, column) == total(after, column)
    assert total(entries, "cost_usd") == 2 * total(ledger, "cost_usd")
    assert total(entries, "input_tokens") == 0
    assert collapse(after)["call_key"].sort().to_list() == collapse(ledger)["call_key"].sort().to_list()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.sampled_from(Charge))
def test_the_same_prices_post_nothing(calls: list[Call], charge: Charge) -> None:
    """Pricing at the prices that hold already, and pricing twice, posts no entry."""
    ledger = posted(observations_of(calls), book("10", charge))
    assert reprice(ledger, book("10", charge), NOW).is_empty()
    dearer = pl.concat([ledger, reprice(ledger, book("20", charge), NOW)])
    assert reprice(dearer, book("20", charge), NOW).is_empty()


def _standing(ledger: pl.DataFrame) -> list[dict[str, object]]:
    return collapse(ledger).sort("call_key").drop("posted_at", "version", "said").to_dicts()
