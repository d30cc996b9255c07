"""Enrichment tables as they are written: YAML before CSV, faults with their line, changes taken over."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl
import pytest

from otel_exporter.config import load
from otel_exporter.config.faults import ConfigFaults
from otel_exporter.config.tree import Settings
from otel_exporter.enrichment import Attribution, CsvFile, sources
from otel_exporter.failures import Refused
from otel_exporter.reloading import Reloading, Written
from otel_exporter.telemetry import Metric
from tests.unit.processors.test_enrich import calls_of, rows_of

YAML = """
enrichment:
  rules:
    - match: {api_key_alias: [search-*, find-*]}
      set: {team: search, cost_center: "0100", labels: {product: finder}}
    - match: {team: support}
      set: {application: desk}
      override: true
  files: [owners.csv]
"""
CSV = """team,cost_center,owner,labels.product,set.application
search,CC-9,ada,ignored,
support,CC-2,"bob, jr",,
,,nobody,,
"""
CALLS: list[dict[str, Any]] = [
    {"api_key_alias": "find-1"},
    {"team": "support", "application": "web"},
    {"team": "other"},
]
NEVER = Event()
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, and its CSV file beside it."""
    (tmp_path / "owners.csv").write_text(CSV, encoding="utf-8-sig")
    (tmp_path / "t.yaml").write_text(YAML)
    return tmp_path / "t.yaml"


def settings(config: Path) -> Settings:
    return load(config).settings


def attributed(tables: Attribution) -> list[tuple[Any, ...]]:
    names = ("team", "application", "cost_center", "owner", "labels")
    return [tuple(row[name] for name in names) for row in rows_of(tables(calls_of(CALLS)))]


def test_the_configuration_wins_over_files(config: Path) -> None:
    """Each field comes from the first rule that has it: YAML, then CSV; names filled first are seen by the others."""
    assert attributed(Attribution(sources(settings(config).enrichment))) == [
        ("search", "", "0100", "ada", [("product", "finder")]),
        ("support", "desk", "CC-2", "bob, jr", []),
        ("other", "", "", "nobody", []),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("team,cost_centre\n", ":1 has a column nobody knows: cost_centre"),
        ("team,team,owner\n", ":1 has the same column twice"),
        ("team,application\n", ":1 sets nothing"),
        ("", ":1 sets nothing"),
        ("team,owner\na,b\nc\n", ":3 has 1 cells, the header 2"),
        ("team,owner,override\na,b,maybe\n", ":2 override must be true or false"),
        ('team,owner\n"a,b\n', "is not CSV in UTF-8"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str | None, sentence: str) -> None:
    """A table that cannot be read says which file, which line and why, and nothing of what it holds."""
    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(Refused) as refused:
        CsvFile(tmp_path / "t.csv").rules()
    assert f"{tmp_path / 't.csv'}{'' if sentence.startswith(':') else ' '}{sentence}" in str(refused.value)


def test_what_is_wrong_with_the_configuration_is_said(tmp_path: Path) -> None:
    """Every fault of the rules at once, each with its line."""
    (tmp_path / "t.yaml").write_text(
        "enrichment:\n  rules:\n    - match: {colour: red, team: [3]}\n      set: {team: 7}\n"
        "    - match: {team: x}\n    - set: {labels: x, price: y}\n"
    )
    with pytest.raises(ConfigFaults) as faults:
        load(tmp_path / "t.yaml")
    text = str(faults.value)
    for path in (
        "rules.0.match.colour",
        "rules.0.match.team",
        "rules.0.set.team",
        "rules.1.set",
        "rules.2.set.labels",
        "rules.2.set.price",
    ):
        assert f"enrichment.{path} (" in text


def test_a_changed_file_is_taken_over(config: Path) -> None:
    """A file that changes is read again; one that becomes unreadable leaves the tables and shows in the metrics."""
    tables = Attribution(sources(settings(config).enrichment))
    reloading = Reloading(settings(config), tables, None)
    (config.parent / "owners.csv").write_text("team,owner\nother,carla\n")
    reloading.job.run(NOW, NEVER)
    assert attributed(tables)[2] == ("other", "", "", "carla", [])
    (config.parent / "owners.csv").write_text("team,boss\nother,dora\n")
    reloading.job.run(NOW, NEVER)
    assert attributed(tables)[2][3] == "carla" and _current() == 0
    (config.parent / "owners.csv").write_text("team,owner\nother,dora\n")
    reloading.job.run(NOW, NEVER)
    assert attributed(tables)[2][3] == "dora" and _current() == 1


def test_a_changed_configuration_is_taken_over(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """New rules of the configuration count at once; of everything else the log says that it needs a restart."""
    tables = Attribution(sources(settings(config).enrichment))
    reloading = Reloading(settings(config), tables, Written(config, lambda: settings(config)))
    config.write_text("enrichment: {rules: [{set: {owner: all}}]}\nlog: {level: debug}\n")
    reloading.job.run(NOW, NEVER)
    assert {row[3] for row in attributed(tables)} == {"all"}
    said = capsys.readouterr().out
    assert "restart to apply" in said and "log" in said
    config.write_text("enrichment: {rules: [{set: {boss: all}}]}\n")
    reloading.ask()
    reloading.job.run(NOW, NEVER)
    assert {row[3] for row in attributed(tables)} == {"all"} and _current() == 0


def test_a_call_sees_one_table(config: Path) -> None:
    """Replacing the tables by ones that cannot be read changes nothing at all."""
    tables = Attribution(sources(settings(config).enrichment))
    before, rules = attributed(tables), len(tables)
    with pytest.raises(Refused):
        tables.replace([CsvFile(config)])
    assert attributed(tables) == before and len(tables) == rules == 5


def test_no_table_changes_nothing() -> None:
    """Without tables calls stay as they are, and there may be none."""
    calls = calls_of(CALLS)
    assert Attribution([])(calls).equals(calls)
    assert Attribution([])(pl.DataFrame()).is_empty()


def _current() -> float:
    from otel_exporter.telemetry import REGISTRY

    assert Metric.ENRICHMENT_CURRENT
    return REGISTRY.get_sample_value("tokentide_enrichment_current") or 0
