"""Rates of an entry for its provider: the standard ones, save where LiteLLM's calculator for the provider differs.

Each function here mirrors `litellm/llms/<provider>/cost_calculator.py`; batch prices mirror `batch_cost_calculator`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from processors.prices.entry import Entry, amount, first_amount, per_second, prices_tokens, threshold_name, thresholds
from processors.prices.rates import FREE, NOTHING, UNKNOWN, Rates, flat
from processors.prices.standard import BATCH, Case, first, standard_rates, tier_for

#: Providers whose calculators take no service tier.
_TIERLESS: Final = frozenset(
    {"deepseek", "tencent", "fireworks_ai", "xai", "perplexity", "dashscope", "qwencloud", "qwen_ai_platform"}
)
#: xAI's long-context prices begin at the threshold, everybody else's above it.
REACHED_IS_CROSSED: Final = frozenset({"xai"})
_ALIBABA: Final = frozenset({"dashscope", "qwencloud", "qwen_ai_platform"})
_ROUTER: Final = re.compile(r"model[-_]router", re.IGNORECASE)
_READ: Final = "cache_read_input_token_cost"
_WRITE: Final = "cache_creation_input_token_cost"
_FIREWORKS_CACHE_READ: Final = Decimal("0.5")  # of the input price, where the table names none


def rates_for(provider: str, entry: Entry, case: Case) -> Rates:
    """Rates of ``entry``, sold by ``provider`` (LiteLLM's spelling), in this case."""
    case = replace(case, reached_is_crossed=provider in REACHED_IS_CROSSED)
    if provider == "lemonade":  # runs on the caller's own machine
        return FREE
    timed = per_second(entry)
    if timed is not None and case.suffix != BATCH:
        return replace(FREE, per_second=timed, per_call=amount(entry, "cost_per_call") or NOTHING)
    if not prices_tokens(entry):
        return UNKNOWN
    if case.suffix == BATCH:
        return _batch(entry, case)
    if provider in _TIERLESS:
        case = replace(case, suffix="")
    return _own_way(provider, entry, case)


def router_fee(provider: str, asked: str, entry_name: str, table: Mapping[str, Entry]) -> Decimal:
    """What Azure's model router takes per input token on top of the model it chose (0: no router was asked)."""
    if provider != "azure_ai" or not _ROUTER.search(asked) or _ROUTER.search(entry_name):
        return NOTHING  # the router's own entry is nothing but its fee
    return amount(table.get("azure_ai/model_router", {}), "input_cost_per_token") or NOTHING


def _own_way(provider: str, entry: Entry, case: Case) -> Rates:
    if provider == "fireworks_ai":
        return standard_rates(*_fireworks(entry, case))
    if provider == "xai":
        rates = standard_rates(entry, case)
        return replace(rates, reasoning=rates.output, audio_output=rates.output, image_output=rates.output)
    if provider == "perplexity":
        return _perplexity(entry, case)
    if provider in _ALIBABA:
        return _alibaba(entry, case)
    return standard_rates(entry, case)


def _fireworks(entry: Entry, case: Case) -> tuple[Entry, Case]:
    """Fireworks sells cached input at half the price unless it says otherwise."""
    paid = amount(entry, "input_cost_per_token")
    if amount(entry, _READ) is not None or paid is None or entry.get("litellm_provider") != "fireworks_ai":
        return entry, case  # its embedding models have no cached input
    cached = paid * _FIREWORKS_CACHE_READ
    block = case.off_peak
    if block and _READ not in block:
        off_peak_paid = amount(block, "input_cost_per_token")
        reading = cached if off_peak_paid is None else off_peak_paid * _FIREWORKS_CACHE_READ
        case = replace(case, off_peak={**block, _READ: reading})
    return {**entry, _READ: cached}, case


def _perplexity(entry: Entry, case: Case) -> Rates:
    block: Mapping[str, Any] = case.off_peak or {}
    return flat(
        first(amount(block, "input_cost_per_token"), amount(entry, "input_cost_per_token")),
        first(amount(block, "output_cost_per_token"), amount(entry, "output_cost_per_token")),
        amount(entry, "output_cost_per_reasoning_token"),
    )


def _alibaba(entry: Entry, case: Case) -> Rates:
    """A tier prices every token of the request; it takes the model's own output price only when it names none."""
    tier = tier_for(entry, case.input_tokens)
    source = tier or entry
    block: Mapping[str, Any] = case.off_peak or {}
    paid = amount(source, "input_cost_per_token")
    own_output = tier is None or "output_cost_per_token" in tier
    answers = source if own_output else entry
    reasoning = "output_cost_per_reasoning_token"
    rates = flat(
        first(amount(block, "input_cost_per_token"), paid),
        first(amount(block, "output_cost_per_token"), amount(answers, "output_cost_per_token")),
        first(amount(block, reasoning), amount(source, reasoning), amount(answers, reasoning)),
    )
    write = first(amount(block, _WRITE), amount(source, _WRITE), paid)
    read = first(amount(block, _READ), amount(source, _READ), paid)
    return replace(rates, cache_read=read, cache_write=write, cache_write_1h=write)


def _batch(entry: Entry, case: Case) -> Rates:
    """Batch prices where the entry has some, else half the standard ones.

    Where LiteLLM bills cached input of a batch at nothing because the entry names no price for it, this is half the
    input price: unknown is not zero.
    """
    paid = _batch_price(entry, "input_cost_per_token", case)
    answered = first(_batch_price(entry, "output_cost_per_token", case), _half(amount(entry, "output_cost_per_token")))
    image = _half(amount(entry, "output_cost_per_image_token"))
    if paid is not None:
        read, write = (first(_batch_price(entry, field, case), paid) for field in (_READ, _WRITE))
    else:
        paid = _half(amount(entry, "input_cost_per_token"))
        read = first(_half(amount(entry, _READ)), paid)
        write = _half(amount(entry, _WRITE)) or paid
    return replace(
        flat(paid, answered),
        cache_read=read,
        cache_write=write,
        cache_write_1h=write,
        audio_input=first(amount(entry, "input_cost_per_audio_token" + BATCH), paid),
        image_input=first(amount(entry, "input_cost_per_image_token" + BATCH), paid),
        image_output=first(amount(entry, "output_cost_per_image_token" + BATCH), image, answered),
    )


def _batch_price(entry: Entry, field: str, case: Case) -> Decimal | None:
    crossed = [threshold for threshold in thresholds(entry) if case.crosses(threshold)]
    above = [
        f"{field}_above_{name}_tokens{BATCH}"
        for threshold in reversed(crossed)
        for name in threshold_name(threshold, entry)
    ]
    return first_amount(entry, *above, field + BATCH)


def _half(price: Decimal | None) -> Decimal | None:
    return None if price is None else price / 2
