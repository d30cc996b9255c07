"""The price book: fills the money columns of calls (DESIGN 5, `docs/prices.md`).

What a call costs is decided in three steps, each for all calls at once: which prices apply (`prices.card`, computed per
distinct model), what they come to (`prices.arithmetic`), and whose number is charged (`prices.charge`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from processors.contract import LEDGER_SCHEMA
from processors.prices.arithmetic import moments, with_local_price, with_rates
from processors.prices.card import Cards, Key, Line
from processors.prices.charge import with_charge
from processors.prices.explain import PriceLine, price_line
from processors.prices.table import Table
from processors.prices.terms import Override, Policy

READS: Final = (
    "provider", "model", "response_model", "requested_model", "operation", "service_tier", "api_base", "gateway",
    "status", "cache_hit", "started_at", "ended_at", "duration_ms", "input_tokens", "cache_read_tokens",
    "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "audio_input_tokens",
    "audio_output_tokens", "image_tokens", "cost_reported_usd", "cost_source", "issues",
)  # fmt: skip
WRITES: Final = (
    "cost_usd", "cost_input_usd", "cost_output_usd", "cost_cache_usd", "cost_other_usd", "discount_usd", "margin_usd",
    "cost_source", "cost_local_usd", "saved_usd", "price_version", "issues",
)  # fmt: skip
_INPUTS: Final = {**{name: LEDGER_SCHEMA[name] for name in READS}, "reported_by": pl.String()}
_KEY: Final = tuple(f"@{field}" for field in Key._fields)
_MOST_CARDS: Final = 50_000  # remembered; a card is a few hundred bytes
_HOST: Final = r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*://)?(?:[^/@]*@)?([^/:?#]+)"
_LOCATION: Final = r"/locations/([a-z0-9-]+)"


class PriceBook:
    """Prices calls. Pure: what it remembers changes its speed only."""

    def __init__(
        self,
        entries: Mapping[str, Any],
        *,
        version: str = "",
        overrides: Sequence[Override] = (),
        policy: Policy | None = None,
    ) -> None:
        """A price book.

        Args:
            entries: LiteLLM's table, numbers as `Decimal`.
            version: what `price_version` says of calls priced by the table (`litellm-1.106.2`).
            overrides: the user's own prices, which win over the table.
            policy: which number is charged, discounts, margins.
        """
        self._policy = policy or Policy()
        self._cards = Cards(Table(entries), version, tuple(overrides), self._policy)
        self._known: dict[Key, list[Line]] = {}

    def price(self, calls: pl.DataFrame) -> pl.DataFrame:
        """``calls`` with the columns of `WRITES` filled; every other column and the order of rows stay.

        Args:
            calls: columns of `contract.CALL`, those of `READS` as far as there are; and perhaps ``reported_by``
                (provider, gateway or client), who computed `cost_reported_usd`.
        """
        return calls.with_columns(self._priced(calls).select(WRITES).get_columns())

    __call__ = price

    def rate_line(self, call: Mapping[str, Any]) -> PriceLine:
        """Why a call costs what it costs, for a reader."""
        schema = {name: dtype for name, dtype in _INPUTS.items() if name in call}
        one = pl.DataFrame([{name: call[name] for name in schema}], schema=schema)
        return price_line(self._priced(one).row(0, named=True))

    def _priced(self, calls: pl.DataFrame) -> pl.DataFrame:
        """The calls with their money, and with everything that led to it."""
        numbered = _complete(calls).with_columns(*_key())
        distinct = numbered.select(_KEY).unique(maintain_order=True).with_row_index("@card")
        cards = {row[0]: self._lines(Key(*row[1:])) for row in distinct.iter_rows()}
        rows = numbered.join(distinct, on=_KEY, how="left", maintain_order="left")
        return with_charge(with_local_price(with_rates(moments(rows), cards)), self._policy)

    def _lines(self, key: Key) -> list[Line]:
        if key not in self._known:
            if len(self._known) >= _MOST_CARDS:
                self._known.clear()
            self._known[key] = self._cards.card(key)
        return self._known[key]


def _complete(calls: pl.DataFrame) -> pl.DataFrame:
    """All columns that are read, null where nobody said."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in _INPUTS.items() if name not in calls.columns]
    return calls.select(*(name for name in _INPUTS if name in calls.columns), *missing)


def _key() -> list[pl.Expr]:
    """The columns of `card.Key`."""
    base = _text("api_base")
    said = {
        "provider": _text("provider"),
        "model": _text("model"),
        "answered": pl.when(_tells_the_model()).then(_text("response_model")).otherwise(pl.lit("")),
        "operation": _text("operation").str.to_lowercase(),
        "tier": _text("service_tier").str.to_lowercase(),
        "host": base.str.extract(_HOST).str.to_lowercase().fill_null(""),
        "location": base.str.extract(_LOCATION).fill_null(""),
    }
    return [said[field].alias(column) for field, column in zip(Key._fields, _KEY, strict=True)]


def _tells_the_model() -> pl.Expr:
    """Whether the answer's model is the provider's word: behind a gateway it may be the alias the client asked for."""
    answered, model, asked = _text("response_model"), _text("model"), _text("requested_model")
    not_echoed = pl.when(asked == "").then(answered.str.starts_with(model)).otherwise(answered != asked)
    return (_text("gateway") == "") | (answered == model) | not_echoed


def _text(name: str) -> pl.Expr:
    return pl.col(name).fill_null("")
