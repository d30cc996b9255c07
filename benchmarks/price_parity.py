"""Our price book against LiteLLM's own calculator: every model of its table, every shape of usage, every tier.

    .venv/bin/python -m benchmarks.price_parity [--every N] [--show N]

For each chat, completion, embedding and responses model of the installed LiteLLM's table, usage of each shape is priced
twice: by `PriceBook`, and by `litellm.cost_per_token` (batches: `litellm.cost_calculator.batch_cost_calculator`).
Equal means within 1e-12 dollars, or unknown to both. A difference must have a reason: see `_reason`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from otel_exporter.pricebook import litellm_table
from processors.contract import LEDGER_SCHEMA
from processors.price import PriceBook
from processors.prices.entry import Entry, amount, prices_tokens, thresholds, tiers
from processors.prices.providers import sells_as

MODES = ("chat", "completion", "embedding", "responses")
TIERS = ("", "flex", "priority", "balanced", "fast", "ultrafast", "batch")
TOLERANCE = Decimal("1e-12")
#: A moment inside and one outside of every off-peak window of the table.
OFF_PEAK, PEAK = datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2026, 11, 24, 8, tzinfo=UTC)
SECONDS = 2.5
#: LiteLLM's batch calculator signs in to these before it answers.
SIGNS_IN = frozenset({"github_copilot", "chatgpt"})


@dataclass(frozen=True)
class Shape:
    """One usage: token counts by the contract's meaning (input includes cached, output includes reasoning)."""

    name: str
    input: int
    output: int
    read: int = 0
    write: int = 0
    write_1h: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image: int = 0


SHAPES = (
    Shape("plain", 1234, 567),
    Shape("input only", 1234, 0),
    Shape("cache read", 2048, 12, read=1920),
    Shape("cache write", 1821, 14, write=300),
    Shape("cache write 1h", 1821, 14, write=300, write_1h=120),
    Shape("cache read and write", 1821, 14, read=1500, write=300),
    Shape("reasoning", 80, 652, reasoning=640),
    Shape("audio in", 1000, 50, audio_in=700),
    Shape("audio in, cached", 1000, 50, read=600, audio_in=700),
    Shape("audio out", 100, 900, audio_out=800),
    Shape("image in", 1000, 50, image=700),
    Shape("everything", 9999, 4444, read=3333, write=2222, write_1h=1111, reasoning=555, audio_in=444, audio_out=333,
          image=222),
)  # fmt: skip


def shapes_of(entry: Entry) -> Iterator[Shape]:
    """The fixed shapes, and each threshold from both sides with every cache class."""
    yield from SHAPES
    ends = {int(end) for tier in tiers(entry) for end in tier["range"] if end}
    for threshold in sorted({*thresholds(entry), *ends}):
        for size in (threshold, threshold + 1):
            yield Shape(f"{size} tokens", size, 321, read=size // 2, write=size // 4, write_1h=size // 8, reasoning=123)


@dataclass(frozen=True)
class Example:
    """One comparison: who, what, which tier, when."""

    model: str
    provider: str
    mode: str
    tier: str
    shape: Shape
    moment: datetime
    place: str = ""

    @property
    def api_base(self) -> str:
        """A URL that says where the call was served."""
        vertex = self.provider == "vertex_ai"
        host = f"{self.place}-aiplatform.googleapis.com" if vertex else f"{self.place}.api.openai.com"
        return f"https://{host}/v1" if self.place else ""


def examples(table: dict[str, Any], every: int = 1) -> list[Example]:
    """Every model (or every ``every``-th) x shape x tier; models with off-peak hours inside and outside of them."""
    models = [name for name, entry in table.items() if name != "sample_spec" and entry.get("mode") in MODES]
    return [
        Example(name, sells_as(entry["litellm_provider"]), entry["mode"], tier, shape, moment, place)
        for name in models[::every]
        for entry in (table[name],)
        for tier in TIERS
        for shape in shapes_of(entry)
        if not (entry["mode"] == "embedding" and shape.reasoning)
        if not (tier == "batch" and entry["litellm_provider"] in SIGNS_IN)
        for moment in ((OFF_PEAK, PEAK) if "off_peak_pricing" in entry else (PEAK,))
        for place in _places(entry)
    ]


def _places(entry: Entry) -> tuple[str, ...]:
    """Regions that cost more, and nowhere."""
    if "regional_processing_uplift_multiplier_eu" in entry and entry["litellm_provider"] == "openai":
        return "", "eu", "us"
    vertex = "regional_endpoint_uplift_multiplier" in entry and entry["litellm_provider"].startswith("vertex_ai")
    return ("", "us-east5") if vertex else ("",)


def our_prices(book: PriceBook, cases: list[Example]) -> list[Decimal | None]:
    """What the price book says."""
    columns = {
        "provider": [case.provider for case in cases],
        "model": [case.model for case in cases],
        "operation": ["embeddings" if case.mode == "embedding" else "chat" for case in cases],
        "service_tier": [case.tier for case in cases],
        "api_base": [case.api_base for case in cases],
        "started_at": [case.moment for case in cases],
        "duration_ms": [SECONDS * 1000] * len(cases),
        "status": ["ok"] * len(cases),
    } | {
        column: [getattr(case.shape, field) for case in cases]
        for field, column in {
            "input": "input_tokens", "output": "output_tokens", "read": "cache_read_tokens",
            "write": "cache_write_tokens", "write_1h": "cache_write_1h_tokens", "reasoning": "reasoning_tokens",
            "audio_in": "audio_input_tokens", "audio_out": "audio_output_tokens", "image": "image_tokens",
        }.items()
    }  # fmt: skip
    calls = pl.DataFrame(columns, schema={name: LEDGER_SCHEMA[name] for name in columns})
    return book.price(calls)["cost_local_usd"].to_list()


def their_price(case: Example) -> Decimal | None:
    """What LiteLLM's calculator says; None when it refuses."""
    import litellm
    from litellm._internal_context import pinned_billing_time
    from litellm.cost_calculator import batch_cost_calculator

    litellm.suppress_debug_info = True
    usage = _usage(case.shape)
    where = {"vertex_location" if case.provider == "vertex_ai" else "data_residency": case.place or None}
    try:
        with pinned_billing_time(case.moment):
            if case.tier == "batch":
                parts = batch_cost_calculator(usage=usage, model=case.model, custom_llm_provider=case.provider, **where)
            else:
                parts = litellm.cost_per_token(
                    model=case.model,
                    custom_llm_provider=case.provider,
                    usage_object=usage,
                    prompt_tokens=case.shape.input,
                    completion_tokens=case.shape.output,
                    service_tier=case.tier or None,
                    response_time_ms=SECONDS * 1000,
                    call_type="embedding" if case.mode == "embedding" else "completion",
                    **where,
                )
    except Exception:  # it raises bare exceptions for models it cannot price
        return None
    return Decimal(sum(parts))


def _usage(shape: Shape) -> Any:
    from litellm.types.utils import CacheCreationTokenDetails, Usage

    details: dict[str, Any] = {"cached_tokens": shape.read, "cache_write_tokens": shape.write}
    if shape.write_1h:
        details["cache_creation_token_details"] = CacheCreationTokenDetails(
            ephemeral_5m_input_tokens=shape.write - shape.write_1h, ephemeral_1h_input_tokens=shape.write_1h
        )
    answered = {"reasoning_tokens": shape.reasoning, "audio_tokens": shape.audio_out}
    return Usage(
        prompt_tokens=shape.input,
        completion_tokens=shape.output,
        total_tokens=shape.input + shape.output,
        prompt_tokens_details={**details, "audio_tokens": shape.audio_in, "image_tokens": shape.image},
        completion_tokens_details=answered if any(answered.values()) else None,
    )


def reason(entry: Entry, case: Example, ours: Decimal | None, theirs: Decimal | None) -> str:
    """Why LiteLLM's number differs by a defect of its own; '' when that is not the cause."""
    if ours is None and not prices_tokens(entry):
        return "the table has no token price for the model: LiteLLM says $0, we say unknown"
    missing = [name for name in ("input_cost_per_token", "output_cost_per_token") if amount(entry, name) is None]
    if ours is None and theirs is not None and missing and not tiers(entry):
        return "the table prices input or output only: LiteLLM takes the other as $0, we say unknown"
    if not prices_tokens(entry) and case.provider == "together_ai":
        return "priced by size, as litellm.completion_cost does: cost_per_token says $0"
    if case.tier != "batch" or theirs is None:
        return ""
    if case.model.startswith("perplexity/perplexity/"):
        return "a batch of a model with two entries, with and without the provider twice: LiteLLM takes the other one"
    if ours is None and tiers(entry):
        return "a batch of a model priced by a tier table: LiteLLM says $0, we say unknown"
    if theirs == 0:
        return "a batch of a model LiteLLM's batch calculator does not find: it says $0"
    if amount(entry, "cache_read_input_token_cost") is None and case.shape.read:
        return "a batch's cached input without a price in the table: LiteLLM bills it at $0, we at half the input price"
    if case.shape.read + case.shape.audio_in > case.shape.input:
        return "a batch's cached sound: LiteLLM bills it twice (once outside of batches)"
    return ""


def main() -> int:
    """Compare, print, and fail when a difference has no reason."""
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="only every N-th model")
    parser.add_argument("--show", type=int, default=20, help="how many differences to show")
    arguments = parser.parse_args()
    table, version = litellm_table()
    cases = examples(table, arguments.every)
    started = time.perf_counter()
    ours = our_prices(PriceBook(table, version=version), cases)
    took = time.perf_counter() - started
    started = time.perf_counter()
    theirs = [their_price(case) for case in cases]
    print(f"{len(cases)} prices: ours {took:.1f} s, LiteLLM's {time.perf_counter() - started:.1f} s")
    return report(table, cases, ours, theirs, arguments.show)


def report(table: dict[str, Any], cases: list[Example], ours: list[Any], theirs: list[Any], show: int) -> int:
    """Print the table; how many differences are unexplained."""
    reasons: Counter[str] = Counter()
    unexplained = []
    for case, mine, other in zip(cases, ours, theirs, strict=True):
        if (mine is None) == (other is None) and (mine is None or abs(mine - other) <= TOLERANCE):
            continue
        why = reason(table[case.model], case, mine, other)
        reasons[why or "UNEXPLAINED"] += 1
        if not why:
            unexplained.append((case, mine, other))
    different = sum(reasons.values())
    models = len({case.model for case in cases})
    total = len(cases)
    print(f"{models} models, {total} models x shapes x tiers: {total - different} equal, {different} different")
    for why, count in reasons.most_common():
        print(f"{count:8}  {why}")
    for case, mine, other in unexplained[:show]:
        print(case.model, case.provider, case.tier or "-", case.shape.name, "ours", mine, "theirs", other)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
