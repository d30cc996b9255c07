"""Generated documents."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from otel_exporter.config import load
from otel_exporter.config.fields import leaves
from otel_exporter.enrichment import CsvFile
from otel_exporter.telemetry import Metric
from processors.contract import CALL

DOCS = Path(__file__).parents[2] / "docs"


def test_generated_pages_are_up_to_date() -> None:
    """Every generated page is what the code says now."""
    assert runpy.run_path(str(DOCS / "generate.py"))["stale"]() == []


def test_nothing_is_missing() -> None:
    """Every setting, metric and column has its row."""
    pages = {name: (DOCS / f"{name}.md").read_text() for name in ("configuration", "metrics", "columns")}
    assert all(f"| `{'.'.join(map(str, path))}` |" in pages["configuration"] for path, _ in leaves())
    assert all(f"| `{metric.declared.name}` |" in pages["metrics"] for metric in Metric)
    assert all(f"| `{column.name}` |" in pages["columns"] for column in CALL)


def test_the_tests_that_are_named_exist() -> None:
    """Every test that the page on faults names is there, under that name."""
    text = (DOCS / "reliability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 20
    sources = {file: (DOCS.parent / file).read_text() for file, _ in named}
    assert all(not name or f"def {name}(" in sources[file] for file, name in named)
    alone = re.findall(r"`(test_\w+)`", text)
    assert all(any(f"def {name}(" in source for source in sources.values()) for name in alone)


def test_the_example_of_prices_loads(tmp_path: Path) -> None:
    """The YAML in the page on prices is a valid configuration."""
    block = re.search(r"```yaml\n(.*?)```", (DOCS / "prices.md").read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "t.yaml").write_text(block[1])
    prices = load(tmp_path / "t.yaml").settings.prices
    assert prices.overrides and prices.discounts and prices.margins


def test_the_examples_of_configuration_load(tmp_path: Path) -> None:
    """The YAML in the pages on attribution, processors and privacy is valid, and the CSV is a table."""
    for page in ("attribution", "processors", "privacy"):
        text = (DOCS / f"{page}.md").read_text()
        blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        assert blocks
        for block in blocks:
            (tmp_path / "t.yaml").write_text(block)
            load(tmp_path / "t.yaml")
        for table in re.findall(r"```csv\n(.*?)```", text, re.DOTALL):
            (tmp_path / "owners.csv").write_text(table)
            assert len(CsvFile(tmp_path / "owners.csv").rules()) == 3
