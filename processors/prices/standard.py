"""From entry to rates, as LiteLLM's generic calculator does it (`llm_cost_calc/utils.py`, `generic_cost_per_token`).

The order matters and is LiteLLM's: a tier table wins over everything; else the service tier's price, else the standard
one; each input threshold that is crossed replaces what it names; a cache price that is missing is the input price;
off-peak hours replace what they name, last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from processors.prices.entry import Entry, amount, first_amount, threshold_name, thresholds, tiers
from processors.prices.rates import NOTHING, Rates

#: Service tier as reported -> the suffix of its prices. Anything else is priced as standard.
TIER_SUFFIX: Final = {
    "flex": "_flex",
    "balanced": "_balanced",
    "priority": "_priority",
    "fast": "_priority",
    "ultrafast": "_ultrafast",
    "on_demand_priority": "_priority",  # Gemini's trafficType
    "on_demand_flex": "_flex",
}
BATCH: Final = "_batches"
_CACHE_WRITE: Final = "cache_creation_input_token_cost"
_CACHE_WRITE_1H: Final = "cache_creation_input_token_cost_above_1hr"
_CACHE_READ: Final = "cache_read_input_token_cost"


@dataclass(frozen=True)
class Case:
    """What decides which of an entry's prices apply to a call.

    ``off_peak`` is the entry's block of off-peak prices while its hours last, else None; ``reached_is_crossed`` marks
    providers whose threshold prices begin at the threshold instead of above it.
    """

    input_tokens: int = 0
    suffix: str = ""
    off_peak: Mapping[str, Any] | None = None
    reached_is_crossed: bool = False

    def crosses(self, threshold: int) -> bool:
        """Whether the input is beyond ``threshold`` tokens."""
        return self.input_tokens > threshold or (self.reached_is_crossed and self.input_tokens == threshold)


@dataclass(frozen=True)
class _Base:
    """The five prices that tiers, thresholds and off-peak hours change; None is not stated."""

    input: Decimal | None
    output: Decimal | None
    write: Decimal | None
    write_1h: Decimal | None
    read: Decimal | None


def standard_rates(entry: Entry, case: Case) -> Rates:
    """Rates of the entry in this case."""
    tier = tier_for(entry, case.input_tokens)
    base = _off_peak(_by_tier_table(entry, tier) if tier else _by_thresholds(entry, case), case.off_peak)
    return Rates(
        input=base.input,
        cache_read=base.read,
        cache_write=base.write,
        cache_write_1h=base.write_1h,
        # LiteLLM knows no service tier for audio and image tokens, though its table names some
        audio_input=first(amount(entry, "input_cost_per_audio_token"), base.input),
        image_input=first(amount(entry, "input_cost_per_image_token"), base.input),
        output=base.output,
        reasoning=_reasoning(entry, case, tier, base.output),
        audio_output=first(amount(entry, "output_cost_per_audio_token"), base.output),
        image_output=first(amount(entry, "output_cost_per_image_token"), base.output),
        per_call=amount(entry, "cost_per_call") or NOTHING,
    )


def first(*values: Decimal | None) -> Decimal | None:
    """The first that is known."""
    return next((value for value in values if value is not None), None)


def tier_for(entry: Entry, input_tokens: int) -> Entry | None:
    """The tier of the entry's own tier table that holds this input: ``start < tokens <= end``, else the last one."""
    ranged = [tier for tier in tiers(entry) if len(tier.get("range", ())) == 2]
    if not ranged or input_tokens <= 0:
        return None
    ranged.sort(key=lambda tier: Decimal(tier["range"][0]))
    within = (tier for tier in ranged if tier["range"][0] < input_tokens <= tier["range"][1])
    tier = next(within, ranged[-1])
    return tier if "input_cost_per_token" in tier else None


def _by_tier_table(entry: Entry, tier: Entry) -> _Base:
    paid = amount(tier, "input_cost_per_token")
    write = first(amount(tier, _CACHE_WRITE), paid)
    return _Base(
        input=paid,
        output=first_amount(tier if "output_cost_per_token" in tier else entry, "output_cost_per_token"),
        write=write,
        write_1h=first(amount(tier, _CACHE_WRITE_1H), write),
        read=first(amount(tier, _CACHE_READ), paid),
    )


def _by_thresholds(entry: Entry, case: Case) -> _Base:
    def tiered(field: str) -> Decimal | None:
        return first_amount(entry, field + case.suffix, field)

    base = _Base(
        input=tiered("input_cost_per_token"),
        # image models may state nothing for output but the price of an image token
        output=tiered("output_cost_per_token") or first_amount(entry, "output_cost_per_image_token"),
        write=tiered(_CACHE_WRITE),
        write_1h=amount(entry, _CACHE_WRITE_1H),
        read=tiered(_CACHE_READ),
    )
    if base.output is None:
        base = replace(base, output=tiered("output_cost_per_token"))
    for threshold in filter(case.crosses, thresholds(entry)):
        for name in threshold_name(threshold, entry):
            above = f"_above_{name}_tokens"
            base = _Base(
                input=first(tiered("input_cost_per_token" + above), base.input),
                output=first(tiered("output_cost_per_token" + above), base.output),
                write=first(tiered(_CACHE_WRITE + above), base.write),
                write_1h=first(tiered(_CACHE_WRITE_1H + above), base.write_1h),
                read=first(tiered(_CACHE_READ + above), base.read),
            )
    return base


def _off_peak(base: _Base, block: Mapping[str, Any] | None) -> _Base:
    """Off-peak prices replace; what is still unsaid about the cache is the input price (an hour: the cache write)."""
    block = block or {}
    paid = first(amount(block, "input_cost_per_token"), base.input)
    write = first(amount(block, _CACHE_WRITE), base.write, paid)
    return _Base(
        input=paid,
        output=first(amount(block, "output_cost_per_token"), base.output),
        write=write,
        write_1h=first(base.write_1h, write),
        read=first(amount(block, _CACHE_READ), base.read, paid),
    )


def _reasoning(entry: Entry, case: Case, tier: Entry | None, output: Decimal | None) -> Decimal | None:
    field = "output_cost_per_reasoning_token"
    off_peak = amount(case.off_peak, field) if case.off_peak else None
    if off_peak is not None:
        return off_peak
    if tier and (field in tier or "output_cost_per_token" in tier):
        return first_amount(tier, field, "output_cost_per_token")
    own = amount(entry, field + case.suffix)
    if own is None and case.suffix and amount(entry, "output_cost_per_token" + case.suffix) is not None:
        return output
    return first(own, amount(entry, field), output)
