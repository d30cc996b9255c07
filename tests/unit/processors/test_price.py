"""The price book: exact, the same as LiteLLM's calculator, and never a number where nothing is known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_exporter.pricebook import litellm_table
from processors.contract import LEDGER_SCHEMA
from processors.price import READS, WRITES, PriceBook
from processors.prices import written
from processors.prices.table import Table
from processors.prices.terms import Charge, Discount, Margin, Override, Policy, Scope

ROOT = Path(__file__).parents[3]
INPUTS = {**{name: LEDGER_SCHEMA[name] for name in READS}, "reported_by": pl.String()}
PARTS = ("cost_input_usd", "cost_output_usd", "cost_cache_usd", "cost_other_usd")
OPENAI: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "operation": "chat", "status": "ok"}
CLAUDE: dict[str, Any] = {**OPENAI, "provider": "anthropic", "model": "claude-sonnet-4-5"}


@cache
def table() -> dict[str, Any]:
    """The installed table, read once."""
    return litellm_table()[0]


@cache
def book() -> PriceBook:
    """A price book without any wishes of a user."""
    return PriceBook(table(), version="litellm-test")


def frame(calls: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Calls as `post` hands them over."""
    return pl.DataFrame([{name: call.get(name) for name in INPUTS} for call in calls], schema=INPUTS)


def priced(call: dict[str, Any], by: PriceBook | None = None) -> dict[str, Any]:
    """One call with its money."""
    return (by or book()).price(frame([call])).row(0, named=True)


def usd(value: str) -> Decimal:
    """An exact amount."""
    return Decimal(value)


def adds_up(call: dict[str, Any]) -> bool:
    """The ledger's promise."""
    if call["cost_usd"] is None:
        return all(call[name] is None for name in (*PARTS, "discount_usd", "margin_usd"))
    return bool(call["cost_usd"] == sum(call[name] for name in PARTS) - call["discount_usd"] + call["margin_usd"])


# --- which prices apply ---


@pytest.mark.slow
def test_prices_like_litellms_own_calculator() -> None:
    """A sample of LiteLLM's table in every shape and tier costs what LiteLLM's calculator says, to 1e-12 dollars."""
    command = [sys.executable, "-m", "benchmarks.price_parity", "--every", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " equal, " in done.stdout


@pytest.mark.parametrize(
    ("provider", "model", "entry"),
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "openai/openai/gpt-4o", "gpt-4o"),
        ("OpenAI", "GPT-4o", "gpt-4o"),
        ("openai", "gpt-4o-2031-01-01", "gpt-4o"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123", "ft:gpt-4o-mini-2024-07-18"),
        ("", "gpt-4o", "gpt-4o"),
        ("", "azure/gpt-4o", "azure/gpt-4o"),
        ("azure.ai.openai", "gpt-4o", "azure/gpt-4o"),
        ("azure.ai.openai", "gpt-35-turbo", "azure/gpt-35-turbo"),
        ("openai", "azure/gpt-4o", "azure/gpt-4o"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("aws.bedrock", "bedrock/us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0",
         "bedrock/us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("aws.bedrock", "bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0",
         "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
         "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("gcp.gemini", "models/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "vertex_ai/claude-sonnet-4-5@20250929"),
        ("anthropic", "claude-sonnet-4-5-20310101", "claude-sonnet-4-5"),
        ("x_ai", "grok-4.5", "xai/grok-4.5"),
        ("mistral_ai", "mistral-large-latest", "mistral/mistral-large-latest"),
    ],
)  # fmt: skip
def test_finds_the_entry_litellm_would_price_by(provider: str, model: str, entry: str) -> None:
    """Semconv providers, prefixes, snapshots, regions, ARNs and fine-tunes lead to the entry that prices the model."""
    found = Table(table()).find(provider, model)
    assert found is not None
    assert found.name == entry


@pytest.mark.parametrize(("provider", "model"), [("openai", "smart"), ("openai", "claude-sonnet-4-5"), ("", ""),
                                                 ("azure.ai.openai", "our-deployment"), ("", "x" * 5000)])  # fmt: skip
def test_does_not_guess_a_model(provider: str, model: str) -> None:
    """An alias, a deployment or somebody else's model has no price."""
    assert Table(table()).find(provider, model) is None


def test_host_tells_a_vague_client_from_the_provider() -> None:
    """An OpenAI client pointed at another provider is priced by that provider, in the region it was served from."""
    groq = Table(table()).find("openai", "openai/gpt-oss-20b", "api.groq.com")
    gov = Table(table()).find(
        "aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock-runtime.us-gov-west-1.amazonaws.com"
    )
    assert groq is not None and groq.name == "groq/openai/gpt-oss-20b"
    assert gov is not None and gov.name == "bedrock/us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0"


def test_alias_echoed_by_a_gateway_is_not_the_model() -> None:
    """Behind a gateway the answer names the alias that was asked for: the provider's model decides, not it."""
    call = {**OPENAI, "gateway": "litellm", "requested_model": "gpt-4", "response_model": "gpt-4", "model": "gpt-4o",
            "input_tokens": 1000, "output_tokens": 0}  # fmt: skip
    assert priced(call)["cost_usd"] == usd("0.0025")
    direct = {**call, "gateway": "", "model": "our-deployment", "response_model": "gpt-4o-2024-05-13"}
    assert priced(direct)["cost_usd"] == usd("0.005")


def test_openai_regional_processing_costs_more() -> None:
    """The regional host of OpenAI applies the model's uplift to every token."""
    model = next(name for name, entry in table().items() if "regional_processing_uplift_multiplier_eu" in entry)
    call = {**OPENAI, "model": model, "input_tokens": 1000, "output_tokens": 100}
    plain = priced(call)["cost_usd"]
    eu = priced({**call, "api_base": "https://eu.api.openai.com/v1/"})["cost_usd"]
    assert eu == plain * Decimal(str(table()[model]["regional_processing_uplift_multiplier_eu"]))


def test_off_peak_hours_follow_the_end_of_the_call() -> None:
    """A call is billed at the off-peak price when it ended inside the window."""
    call = {**OPENAI, "provider": "deepseek", "model": "deepseek-v4-flash", "input_tokens": 10**6, "output_tokens": 0}
    entry = table()["deepseek-v4-flash"]
    monday = datetime(2026, 11, 23, 3, 59, 30, tzinfo=UTC)
    inside = {**call, "started_at": monday, "ended_at": monday.replace(hour=4, minute=0, second=5)}
    outside = {**call, "started_at": monday, "ended_at": monday.replace(second=50)}
    assert priced(inside)["cost_usd"] == 10**6 * entry["off_peak_pricing"]["input_cost_per_token"]
    assert priced(outside)["cost_usd"] == 10**6 * entry["input_cost_per_token"]


def test_reads_litellms_field_names_and_tiers() -> None:
    """A service tier and an input threshold choose their own prices, together and apart."""
    entries = {
        "m": {
            "litellm_provider": "openai",
            "input_cost_per_token": Decimal("0.001"),
            "input_cost_per_token_priority": Decimal("0.002"),
            "input_cost_per_token_above_200k_tokens": Decimal("0.003"),
            "input_cost_per_token_above_200k_tokens_priority": Decimal("0.004"),
            "output_cost_per_token": 0,
        }
    }
    tiny = PriceBook(entries)
    call = {**OPENAI, "model": "m", "output_tokens": 1}
    costs = [
        priced({**call, "service_tier": tier, "input_tokens": size}, tiny)["cost_usd"]
        for tier in ("default", "priority")
        for size in (200_000, 200_001)
    ]
    assert costs == [200, usd("600.003"), 400, usd("800.004")]


# --- what they come to ---


def test_cached_prompt_of_the_corpus() -> None:
    """OpenAI: 2048 input of which 1920 cached, 12 output; the parts are those of each class."""
    call = priced({**OPENAI, "input_tokens": 2048, "cache_read_tokens": 1920, "output_tokens": 12})
    assert call["cost_usd"] == usd("0.00284")
    assert call["cost_input_usd"] == usd("0.00032")
    assert call["cost_cache_usd"] == usd("0.0024")
    assert call["cost_output_usd"] == usd("0.00012")
    assert call["cost_source"] == "local"
    assert call["price_version"] == "litellm-test"


def test_anthropic_cache_classes() -> None:
    """Anthropic: reads, five-minute and one-hour writes each at their own price, none of them billed as input."""
    call = priced({**CLAUDE, "input_tokens": 1821, "cache_read_tokens": 1500, "cache_write_tokens": 300,
                   "cache_write_1h_tokens": 100, "output_tokens": 14})  # fmt: skip
    entry = table()["claude-sonnet-4-5"]
    cached = (
        1500 * entry["cache_read_input_token_cost"]
        + 200 * entry["cache_creation_input_token_cost"]
        + 100 * entry["cache_creation_input_token_cost_above_1hr"]
    )
    assert call["cost_cache_usd"] == cached
    assert call["cost_input_usd"] == 21 * entry["input_cost_per_token"]


def test_rounds_the_total_once() -> None:
    """Prices of 24 digits: the total is the exact sum rounded half to even, and the parts add up to it."""
    price = Decimal("0.000000000000400000000001")
    entries = {"m": {"litellm_provider": "openai", "input_cost_per_token": price, "output_cost_per_token": price,
                     "cache_read_input_token_cost": price}}  # fmt: skip
    call = priced(
        {**OPENAI, "model": "m", "input_tokens": 2, "cache_read_tokens": 1, "output_tokens": 1}, PriceBook(entries)
    )
    assert call["cost_usd"] == usd("0.000000000001")
    assert adds_up(call)


def test_a_price_the_entry_does_not_name_is_unknown() -> None:
    """Output without a price makes the cost unknown as soon as there is output, and only then."""
    tiny = PriceBook({"m": {"litellm_provider": "openai", "input_cost_per_token": Decimal("0.1")}})
    call = {**OPENAI, "model": "m", "input_tokens": 1}
    assert priced({**call, "output_tokens": 0}, tiny)["cost_usd"] == usd("0.1")
    unknown = priced({**call, "output_tokens": 1}, tiny)
    assert unknown["cost_usd"] is None
    assert unknown["issues"] == ["unpriced_unit"]


def test_models_sold_by_the_second() -> None:
    """A model without token prices is charged by its duration."""
    name = "bedrock/us-east-1/1-month-commitment/anthropic.claude-v2:1"
    call = {**OPENAI, "provider": "aws.bedrock", "model": name, "duration_ms": 2500.0}
    assert priced({**call, "input_tokens": 5, "output_tokens": 5})["cost_usd"] == usd("0.04375")


def test_embeddings_have_no_output() -> None:
    """An embedding reports no output tokens, which are not unknown."""
    call = {**OPENAI, "model": "text-embedding-3-small", "operation": "embeddings", "input_tokens": 8}
    assert priced(call)["cost_usd"] == 8 * table()["text-embedding-3-small"]["input_cost_per_token"]
    assert priced(call)["issues"] == []


def test_rerank_is_sold_by_the_query() -> None:
    """A rerank call costs one query."""
    name, entry = next(
        (n, e) for n, e in table().items() if e.get("mode") == "rerank" and e.get("input_cost_per_query")
    )
    call = {**OPENAI, "provider": entry["litellm_provider"], "model": name, "operation": "rerank"}
    assert priced(call)["cost_other_usd"] == Decimal(str(entry["input_cost_per_query"]))


# --- unknown is not zero ---


def test_unknown_model() -> None:
    """A model nobody prices has no cost, and says so."""
    call = priced({**OPENAI, "model": "nobody-knows", "input_tokens": 25, "output_tokens": 12})
    assert call["cost_usd"] is None and call["cost_local_usd"] is None
    assert call["cost_source"] == "none" and call["price_version"] == ""
    assert call["issues"] == ["unpriced_model"]


def test_entry_without_prices_is_unknown() -> None:
    """A model the table lists without a price is not free, whatever LiteLLM says."""
    call = priced({**OPENAI, "provider": "github_copilot", "model": "gpt-4o", "input_tokens": 25, "output_tokens": 12,
                   "cost_reported_usd": usd("0"), "gateway": "litellm"})  # fmt: skip
    assert call["cost_usd"] is None


@pytest.mark.parametrize("tokens", [None, 0])
def test_stream_without_usage(tokens: int | None) -> None:
    """0/0 or missing tokens on a success are unknown, and so is the cost, even when the reporter says 0."""
    call = {**OPENAI, "input_tokens": tokens, "output_tokens": tokens, "cost_reported_usd": usd("0")}
    assert priced(call)["cost_usd"] is None
    assert priced(call)["issues"] == ["tokens_unknown"]
    billed = priced({**call, "cost_reported_usd": usd("0.5")})
    assert billed["cost_usd"] == usd("0.5")
    assert billed["issues"] == ["tokens_unknown"]


def test_free_models_are_free() -> None:
    """A price of 0 in the table is a price."""
    name = next(
        n for n, e in table().items()
        if e.get("mode") == "chat" and e.get("input_cost_per_token") == 0 == e.get("output_cost_per_token")
    )  # fmt: skip
    call = {**OPENAI, "provider": table()[name]["litellm_provider"], "model": name, "input_tokens": 9,
            "output_tokens": 9}  # fmt: skip
    assert priced(call)["cost_usd"] == 0
    assert priced(call)["cost_source"] == "local"
    assert priced({**call, "cost_reported_usd": usd("0"), "reported_by": "gateway"})["cost_source"] == "gateway"


# --- whose number is charged ---


def test_reported_total_keeps_the_parts_and_puts_the_rest_into_other() -> None:
    """A reported total is charged as it is; what it holds beyond our parts is `cost_other_usd`, negative if less."""
    call = {**OPENAI, "input_tokens": 25, "output_tokens": 12, "reported_by": "gateway"}
    more, less = (priced({**call, "cost_reported_usd": usd(said)}) for said in ("0.0002", "0.0001"))
    assert more["cost_usd"] == usd("0.0002") and more["cost_source"] == "gateway"
    assert more["cost_input_usd"] == usd("0.0000625") and more["cost_other_usd"] == usd("0.0000175")
    assert less["cost_other_usd"] == usd("-0.0000825")
    assert more["cost_local_usd"] == less["cost_local_usd"] == usd("0.0001825")
    assert adds_up(more) and adds_up(less)


def test_reported_total_of_an_unknown_model_is_all_other() -> None:
    """Without a local price a reported total has no parts."""
    call = priced({**OPENAI, "model": "ours", "input_tokens": 5, "output_tokens": 5, "cost_reported_usd": usd("0.3")})
    assert [call[name] for name in PARTS] == [0, 0, 0, usd("0.3")]
    assert call["issues"] == [] and call["cost_source"] == "client"


def test_noise_of_a_double_is_not_a_difference() -> None:
    """A reported double within 1e-9 of our number is our number, exactly, credited to the reporter."""
    call = {**CLAUDE, "input_tokens": 10**6, "output_tokens": 10**4, "reported_by": "gateway"}
    exact = priced(call)["cost_usd"]
    agreed = priced({**call, "cost_reported_usd": exact + usd("0.000000001")})
    assert agreed["cost_usd"] == exact and agreed["cost_other_usd"] == 0
    assert agreed["cost_source"] == "gateway"
    assert agreed["cost_reported_usd"] == exact + usd("0.000000001")


def test_reported_zero_for_what_costs_something_is_contradicted() -> None:
    """OpenLIT without its price file says 0: the price book decides, and the row says why."""
    call = priced({**OPENAI, "input_tokens": 25, "output_tokens": 12, "cost_reported_usd": usd("0")})
    assert call["cost_usd"] == usd("0.0001825") and call["cost_source"] == "local"
    assert call["issues"] == ["cost_contradicted"]


def test_zero_of_an_unknown_model_is_believed_only_on_request() -> None:
    """Who does not know a model reports 0 too; a user whose gateway has real zero prices can say so."""
    call = {**OPENAI, "model": "self-hosted", "input_tokens": 25, "output_tokens": 12, "cost_reported_usd": usd("0")}
    trusting = PriceBook(table(), policy=Policy(believe_zero=True))
    assert priced(call)["cost_usd"] is None
    assert priced(call, trusting)["cost_usd"] == 0


@pytest.mark.parametrize("said", ["-1", "9999999999999"])
def test_implausible_reported_cost(said: str) -> None:
    """A negative or absurd reported cost is not charged."""
    call = priced({**OPENAI, "input_tokens": 25, "output_tokens": 12, "cost_reported_usd": usd(said)})
    assert call["cost_usd"] == usd("0.0001825")
    assert call["issues"] == ["cost_implausible"]


def test_gateway_cache_hit_costs_nothing_and_says_what_it_saved() -> None:
    """A hit is free; saved is what was reported, else what the price book says; repeated tokens are kept."""
    hit = {**OPENAI, "cache_hit": True, "gateway": "litellm", "input_tokens": 25, "output_tokens": 12}
    for said, saved in ((usd("0.0002"), usd("0.0002")), (usd("0"), usd("0.0001825")), (None, usd("0.0001825"))):
        call = priced({**hit, "cost_reported_usd": said})
        assert call["cost_usd"] == 0 and all(call[name] == 0 for name in PARTS)
        assert call["saved_usd"] == saved
        assert call["cost_local_usd"] == 0
        assert call["issues"] == [] and call["input_tokens"] == 25


@pytest.mark.parametrize("tokens", [None, 0, 25])
def test_failed_calls_cost_nothing(tokens: int | None) -> None:
    """A failed call that answered nothing was not billed, even when its prompt was counted or its model is unknown."""
    for model in ("gpt-4o", "nobody-knows"):
        call = priced({**OPENAI, "model": model, "status": "error", "input_tokens": tokens, "output_tokens": 0})
        assert call["cost_usd"] == 0 and call["cost_source"] == "none"
        assert call["issues"] == []


def test_failed_calls_that_were_billed() -> None:
    """A failed call with a reported cost, or with output, is charged."""
    failed = {**OPENAI, "status": "error", "input_tokens": 25, "output_tokens": 12}
    assert priced(failed)["cost_usd"] == usd("0.0001825")
    assert priced({**failed, "output_tokens": None, "cost_reported_usd": usd("0.1")})["cost_usd"] == usd("0.1")


@pytest.mark.parametrize(
    ("charge", "reported", "model", "expected", "source"),
    [
        (Charge.REPORTED, "0.5", "gpt-4o", "0.5", "client"),
        (Charge.REPORTED, None, "gpt-4o", "0.0001825", "local"),
        (Charge.LOCAL, "0.5", "gpt-4o", "0.0001825", "local"),
        (Charge.LOCAL, "0.5", "nobody-knows", "0.5", "client"),
        (Charge.REPORTED_ONLY, "0.5", "gpt-4o", "0.5", "client"),
        (Charge.REPORTED_ONLY, None, "gpt-4o", None, "none"),
        (Charge.REPORTED_ONLY, "0", "gpt-4o", None, "none"),
    ],
)
def test_policy_decides_whose_number_is_charged(
    charge: Charge, reported: str | None, model: str, expected: str | None, source: str
) -> None:
    """`charge` chooses between the reported number and the price book's; both stay visible."""
    call = {**OPENAI, "model": model, "input_tokens": 25, "output_tokens": 12,
            "cost_reported_usd": reported and usd(reported)}  # fmt: skip
    got = priced(call, PriceBook(table(), policy=Policy(charge=charge)))
    assert got["cost_usd"] == (expected and usd(expected))
    assert got["cost_source"] == source
    assert got["cost_local_usd"] == (None if model == "nobody-knows" else usd("0.0001825"))
    assert got["cost_reported_usd"] == call["cost_reported_usd"]


# --- the user's own prices and terms ---


def test_own_prices_by_date() -> None:
    """A price of the user's own holds from its date on; one that names the model wins over one with a pattern."""
    old, new = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    own = written.overrides(
        [
            {"name": "deal", "models": "gpt-4o", "from": "2026-01-01", "per_million": {"input": 1, "output": "2.5"}},
            {"name": "better", "models": ["gpt-4o"], "from": "2026-06-01", "per_million": {"input": 0.5, "output": 2}},
            {"name": "all", "models": "gpt-*", "per_million": {"input": 9, "output": 9}},
        ]
    )
    mine = PriceBook(table(), version="litellm-test", overrides=own)
    call = {**OPENAI, "input_tokens": 10**6, "output_tokens": 0}
    at = {
        when: priced({**call, "started_at": when}, mine)
        for when in (datetime(2025, 12, 31, 23, 59, tzinfo=UTC), old, datetime(2026, 5, 31, tzinfo=UTC), new, None)
    }
    costs = [got["cost_usd"] for got in at.values()]
    assert costs == [9, 1, 1, usd("0.5"), usd("0.5")]
    assert [got["price_version"] for got in at.values()] == [
        "override:all", "override:deal@2026-01-01", "override:deal@2026-01-01", "override:better@2026-06-01",
        "override:better@2026-06-01",
    ]  # fmt: skip


def test_own_prices_like_another_model() -> None:
    """A deployment can be priced like a table entry, with some prices of its own."""
    own = written.overrides([{"models": "our-deployment", "provider": "azure.ai.openai", "like": "azure/gpt-4o",
                              "per_million": {"output": 1}}])  # fmt: skip
    call = {**OPENAI, "provider": "azure.ai.openai", "model": "our-deployment", "input_tokens": 10**6,
            "output_tokens": 10**6}  # fmt: skip
    got = priced(call, PriceBook(table(), overrides=own))
    assert got["cost_usd"] == 10**6 * table()["azure/gpt-4o"]["input_cost_per_token"] + 1
    assert got["price_version"] == "override:our-deployment"
    assert priced({**call, "provider": "openai"}, PriceBook(table(), overrides=own))["cost_usd"] is None


def test_own_prices_by_call_and_second() -> None:
    """Self-hosted models: free, by the call, or by the second."""
    own = written.overrides(
        [
            {"models": "free-*", "free": True},
            {"models": "asked", "per_call": "0.02"},
            {"models": "rented", "per_second": "0.001"},
        ]
    )
    mine = PriceBook({}, overrides=own)
    call = {**OPENAI, "provider": "", "input_tokens": 7, "output_tokens": 7, "duration_ms": 1500.0}
    got = {model: priced({**call, "model": model}, mine) for model in ("free-7b", "asked", "rented")}
    assert got["free-7b"]["cost_usd"] == 0 and got["free-7b"]["cost_source"] == "local"
    assert got["asked"]["cost_other_usd"] == usd("0.02")
    assert got["rented"]["cost_usd"] == usd("0.0015")


def test_discount_then_margin() -> None:
    """A discount comes off the price, the margin goes on what is left; both are columns, and everything adds up."""
    policy = Policy(
        discounts=(Discount(Decimal("0.1"), Scope(provider="openai")),),
        margins=(Margin(Decimal("0.5"), Decimal("0.01")),),
    )
    mine = PriceBook(table(), policy=policy)
    call = {**OPENAI, "input_tokens": 10**6, "output_tokens": 0}
    got = priced(call, mine)
    assert (got["cost_input_usd"], got["discount_usd"], got["margin_usd"]) == (usd("2.5"), usd("0.25"), usd("1.135"))
    assert got["cost_usd"] == usd("3.385") == got["cost_local_usd"]
    for said, source, cost in (("2.5", "gateway", "3.385"), ("4", "gateway", "5.41"), ("4", "provider", "4"),
                               ("3.385", "gateway", "3.385")):  # fmt: skip
        reported = priced({**call, "cost_reported_usd": usd(said), "reported_by": source}, mine)
        assert reported["cost_usd"] == usd(cost) and adds_up(reported)


def test_faults_in_written_prices_are_told_at_once() -> None:
    """Every fault is named with its place."""
    items = [
        {"models": "a", "per_million": {"inputs": 1, "output": -1}, "from": "soon"},
        {"per_call": "x", "extra": 1},
        "gpt-4o",
        {"models": ["b"], "litellm": {"mode": "chat"}, "from": "2026-02-01", "until": "2026-01-01"},
    ]
    with pytest.raises(written.BadTerms) as raised:
        written.overrides(items)
    places = {fault.path[1:] for fault in raised.value.faults}
    assert places >= {
        (0, "per_million", "inputs"), (0, "per_million", "output"), (0, "from"), (1, "models"), (1, "per_call"),
        (1, "extra"), (2,), (3, "litellm", "mode"), (3, "until"),
    }  # fmt: skip


# --- laws ---

COUNTS = st.one_of(st.none(), st.integers(0, 5000), st.sampled_from([200_001, 10**9, 10**12, 2**64 - 1]))
MONEY = st.one_of(
    st.none(),
    st.sampled_from([Decimal(0), Decimal(-1), Decimal(10) ** 20]),
    st.decimals(0, 10**6, places=12, allow_nan=False),
)
MODELS = ["gpt-4o", "claude-sonnet-4-5", "dashscope/qwen-flash", "deepseek-v4-flash", "xai/grok-4.20", "nope", "", "*",
          "gemini/gemini-2.5-pro", "perplexity/sonar", "together_ai/unlisted-7b", "azure/gpt-4o", "arn:aws:bedrock:/",
          "whisper-1", "gpt-image-1", "\x00", "ft:gpt-4o:a:b:c"]  # fmt: skip
PROVIDERS = [
    "",
    "openai",
    "anthropic",
    "aws.bedrock",
    "gcp.vertex_ai",
    "azure.ai.openai",
    "nobody",
    "xai",
    "together_ai",
]
MOMENTS = st.one_of(st.none(), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))


def texts(*known: str) -> st.SearchStrategy[str | None]:
    """One of these texts, or nothing said."""
    return st.one_of(st.none(), st.sampled_from(known))


CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "provider": texts(*PROVIDERS),
            "model": texts(*MODELS),
            "response_model": texts(*MODELS),
            "requested_model": texts(*MODELS),
            "operation": texts("chat", "embeddings", "rerank", "image_generation", "transcription", "speech", "odd"),
            "service_tier": texts("", "flex", "priority", "batch", "auto", "ON_DEMAND_PRIORITY", "odd"),
            "api_base": texts(
                "", "https://eu.api.openai.com", "http://[", "api.groq.com", "x://y@z/locations/us-east5/"
            ),
            "gateway": texts("", "litellm"),
            "status": texts("ok", "error"),
            "cache_hit": st.one_of(st.none(), st.booleans()),
            "started_at": MOMENTS,
            "ended_at": MOMENTS,
            "duration_ms": st.one_of(st.none(), st.floats()),
            **{name: COUNTS for name in INPUTS if name.endswith("_tokens")},
            "cost_reported_usd": MONEY,
            "reported_by": texts("", "gateway", "client", "provider"),
            "cost_source": texts("", "local", "gateway"),
            "issues": st.sampled_from([None, [], ["tokens_disagree"], ["unpriced_model", "x"]]),
        }
    ),
    min_size=1,
    max_size=12,
)
WISHES = st.sampled_from(
    [
        Policy(),
        Policy(charge=Charge.LOCAL, believe_zero=True),
        Policy(charge=Charge.REPORTED_ONLY),
        Policy(
            discounts=(Discount(Decimal("0.123456789")),),
            margins=(Margin(Decimal("0.0333333333"), Decimal("0.000000000007")),),
        ),
    ]
)
OWN = (
    Override("own", Scope(("gpt-*", "nope"), since=datetime(2025, 1, 1, tzinfo=UTC)),
             {"input_cost_per_token": Decimal("0.000000000001234"), "output_cost_per_token": Decimal("1e-13")}),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(CALLS, WISHES)
def test_always_adds_up_and_never_raises(calls: list[dict[str, Any]], policy: Policy) -> None:
    """Whatever was said, pricing succeeds, keeps the other columns, and the parts add up exactly or are all unknown."""
    said = frame(calls)
    got = PriceBook(table(), version="t", overrides=OWN, policy=policy).price(said)
    assert got.select(said.columns).drop("cost_source", "issues").equals(said.drop("cost_source", "issues"))
    assert {name: got.schema[name] for name in WRITES} == {name: LEDGER_SCHEMA[name] for name in WRITES}
    for call in got.iter_rows(named=True):
        assert adds_up(call)
        assert call["cost_usd"] is not None or call["cost_source"] == "none"
        if call["cost_usd"] is None and call["status"] != "error":
            assert call["issues"] or policy.charge is Charge.REPORTED_ONLY


@settings(max_examples=50, deadline=None)
@given(CALLS, CALLS, WISHES)
def test_blind_to_the_batch(left: list[dict[str, Any]], right: list[dict[str, Any]], policy: Policy) -> None:
    """A call costs the same whatever it is priced together with."""
    mine = PriceBook(table(), overrides=OWN, policy=policy)
    together = mine.price(frame(left + right))
    assert together.equals(pl.concat([mine.price(frame(left)), mine.price(frame(right))]))


@settings(max_examples=50, deadline=None)
@given(CALLS, WISHES)
def test_pricing_again_changes_nothing(calls: list[dict[str, Any]], policy: Policy) -> None:
    """Pricing what was priced before gives the same."""
    mine = PriceBook(table(), overrides=OWN, policy=policy)
    once = mine.price(frame(calls))
    assert mine.price(once).equals(once)


def test_repricing_forgets_its_own_issues() -> None:
    """A model that has a price by now is no longer unpriced; what others found stays."""
    before = book().price(
        frame([{**OPENAI, "model": "new", "input_tokens": 1, "output_tokens": 1, "issues": ["tokens_disagree"]}])
    )
    own = (Override("new", Scope(("new",)), {"input_cost_per_token": Decimal(1), "output_cost_per_token": Decimal(1)}),)
    after = PriceBook(table(), overrides=own).price(before)
    assert before["issues"].to_list() == [["tokens_disagree", "unpriced_model"]]
    assert after["issues"].to_list() == [["tokens_disagree"]]
    assert after["cost_usd"].to_list() == [2]


def test_few_columns_are_enough() -> None:
    """Columns nobody has are as if nobody said them."""
    calls = pl.DataFrame({"provider": ["openai"], "model": ["gpt-4o"], "input_tokens": [25], "output_tokens": [12]})
    assert book().price(calls)["cost_usd"].to_list() == [usd("0.0001825")]
    assert book().price(calls.clear()).height == 0


# --- explaining ---


def test_price_line_says_what_was_multiplied() -> None:
    """The price line names the entry, the prices, the tokens and whose number is charged."""
    line = book().rate_line({**OPENAI, "input_tokens": 2048, "cache_read_tokens": 1920, "output_tokens": 12})
    assert str(line) == (
        "$0.00284: by the price book; 128 input at $0.0000025 + 1920 cache read at $0.00000125 + 12 output at $0.00001"
        " [gpt-4o, litellm-test]"
    )
    assert sum(item.cost_usd or 0 for item in line.items) == line.cost_usd
    unknown = book().rate_line({**OPENAI, "model": "nobody-knows", "input_tokens": 1, "output_tokens": 1})
    assert str(unknown).startswith("unknown: nobody knows a price")
    own = PriceBook(
        {},
        overrides=written.overrides([{"models": "rented", "per_second": "0.001"}]),
        policy=Policy(discounts=(Discount(Decimal("0.5")),)),
    )
    rented = own.rate_line({**OPENAI, "model": "rented", "input_tokens": 1, "output_tokens": 1, "duration_ms": 1500.0})
    assert "1.5 seconds at $0.001 - $0.00075 discount [rented, override:rented]" in str(rented)
