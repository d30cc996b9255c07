"""The price book's sources: LiteLLM's table without LiteLLM, and the user's file."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from otel_exporter.pricebook import NoPriceTable, litellm_table, price_book, read_terms


def test_reads_the_table_without_importing_litellm() -> None:
    """The table comes from the installed package, and `import litellm`, which takes seconds, never happens."""
    program = (
        "import sys; from otel_exporter.pricebook import litellm_table; table, version = litellm_table();"
        "assert 'litellm' not in sys.modules; assert len(table) > 1000; assert version.startswith('litellm-1.')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_keeps_every_digit() -> None:
    """Prices are the decimals that the file holds, not doubles."""
    table, _ = litellm_table()
    assert table["gpt-4o"]["input_cost_per_token"] == Decimal("2.5e-06")


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_unreadable_table_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    """A missing or broken table names its file."""
    file = tmp_path / "table.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NoPriceTable, match=r"table\.json"):
        litellm_table(file)


def test_own_file_of_prices(tmp_path: Path) -> None:
    """A YAML file holds what section `prices` holds; its numbers stay exact."""
    file = tmp_path / "prices.yaml"
    file.write_text(
        "charge: local\n"
        "overrides:\n"
        "  - {name: deal, models: gpt-4o, from: 2026-01-01, per_million: {input: 0.1, output: 1e-1}}\n"
        "discounts:\n"
        "  - {provider: openai, percent: 10}\n"
    )
    book = price_book(**read_terms(file))
    calls = pl.DataFrame(
        {"provider": ["openai"], "model": ["gpt-4o"], "input_tokens": [10**6], "output_tokens": [10**6],
         "cost_reported_usd": [Decimal(7)]},
    )  # fmt: skip
    assert book.price(calls)["cost_usd"].to_list() == [Decimal("0.18")]


@pytest.mark.parametrize("content", [None, "a: [", "- 1"])
def test_unreadable_own_file_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    """A missing or broken file of prices is named."""
    file = tmp_path / "prices.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NoPriceTable, match=r"prices\.yaml"):
        read_terms(file)
