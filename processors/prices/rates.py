"""Rates: what a price table entry comes down to, one exact price per token class."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Final

import polars as pl

#: Room for 14 digits before and 24 after the point: LiteLLM's table has prices that need all 24.
PRICE: Final = pl.Decimal(38, 24)
NOTHING: Final = Decimal(0)


@dataclass(frozen=True)
class Rates:
    """US dollars per token of each class; the classes are disjoint. None is a price nobody knows, never zero."""

    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    audio_input: Decimal | None = None
    image_input: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    audio_output: Decimal | None = None
    image_output: Decimal | None = None
    surcharge: Decimal = NOTHING  # per input token of any class, on top: a router's fee
    per_call: Decimal = NOTHING
    per_second: Decimal = NOTHING

    def times(self, factor: Decimal) -> Rates:
        """The same rates with a regional uplift."""
        if factor == 1:
            return self
        raised = {name: None if rate is None else rate * factor for name, rate in self.named().items()}
        return replace(self, **raised)  # type: ignore[arg-type]

    def named(self) -> dict[str, Decimal | None]:
        """Class name to price."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def plus(self, *, surcharge: Decimal) -> Rates:
        """The same rates with a fee per input token on top."""
        return replace(self, surcharge=self.surcharge + surcharge)


UNKNOWN: Final = Rates()
RATE_NAMES: Final = tuple(field.name for field in fields(Rates))


def flat(input_rate: Decimal | None, output_rate: Decimal | None, reasoning: Decimal | None = None) -> Rates:
    """Rates that know input and output only: whatever the class of a token, it is one or the other."""
    return Rates(
        input=input_rate,
        cache_read=input_rate,
        cache_write=input_rate,
        cache_write_1h=input_rate,
        audio_input=input_rate,
        image_input=input_rate,
        output=output_rate,
        reasoning=output_rate if reasoning is None else reasoning,
        audio_output=output_rate,
        image_output=output_rate,
    )


FREE: Final = flat(NOTHING, NOTHING)
