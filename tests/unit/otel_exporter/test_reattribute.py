"""`tokentide reattribute` on real exports in a real ClickHouse: sums, repetition, the way back."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otel_exporter import reprice as repricing
from tests.corpus.cases import DATA
from tests.unit.otel_exporter.conftest import Tokentide

EVER = ("--since", "2020-01-01")
TABLES = (
    """
enrichment:
  rules:
    - {match: {model: "gpt-4o*"}, set: {team: four, cost_center: "44", owner: o, labels: {tier: gold}}, override: true}
    - {match: {status_is_no_column: x}, set: {owner: x}}
""".replace("    - {match: {status_is_no_column: x}, set: {owner: x}}\n", "")
    + "  files: [owners.csv]\n"
)
SUMS = """SELECT team, cost_center, toString(sum(cost_usd * sign)) AS cost, toInt64(sum(sign)) AS calls
    FROM genai_ledger GROUP BY team, cost_center HAVING calls != 0"""
CALLS = """SELECT call_key, team, application, cost_center, owner, toString(labels) AS labels, cost_usd, input_tokens,
    price_version FROM genai_calls ORDER BY call_key"""
Sums = dict[tuple[str, str], tuple[Decimal, int]]


class Ledger:
    """A data directory with the calls of the LiteLLM exports, and the command."""

    def __init__(self, tokentide: Tokentide, *options: str) -> None:
        self._tokentide = tokentide
        files = sorted((DATA / "litellm").glob("*.traces.pb"))
        assert tokentide("ingest", *files, "--data-dir", "d", *options).code == 0

    def json(self, *arguments: str) -> Any:
        run = self._tokentide(*arguments, "--data-dir", "d", "--format", "json")
        assert run.code == 0, run.err
        return json.loads(run.out)

    def sums(self) -> Sums:
        """The ledger's signed sums by team and cost centre."""
        rows = self.json("query", SUMS)
        return {(row["team"], row["cost_center"]): (Decimal(row["cost"] or 0), row["calls"]) for row in rows}

    def entries(self) -> int:
        return int(self.json("query", "SELECT count() AS n FROM genai_ledger")[0]["n"])


@pytest.fixture
def tables(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(TABLES)
    (tmp_path / "owners.csv").write_text("team,cost_center,owner\n,unknown,finance\n")


def test_the_table_is_what_happens(tokentide: Tokentide, tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dry run and real run say the same by team and cost centre, and exactly that happens; no cent is lost or made.

    Read in slices of a few entries as in one; prices and tokens stay; a second run posts nothing.
    """
    ledger = Ledger(tokentide)
    before, entries, calls = ledger.sums(), ledger.entries(), ledger.json("query", CALLS)
    said = ledger.json("reattribute", *EVER, "--config", "t.yaml", "--dry-run")
    assert ledger.sums() == before and ledger.entries() == entries
    monkeypatch.setattr(repricing, "SLICE", 5)
    assert ledger.json("reattribute", *EVER, "--config", "t.yaml") == said
    after = ledger.sums()
    for row in said:
        name, nothing = (row["team"], row["cost_center"]), (Decimal(0), 0)
        assert (Decimal(row["before_usd"]), row["calls_before"]) == before.get(name, nothing)
        assert (Decimal(row["after_usd"]), row["calls_after"]) == after.get(name, nothing)
        assert Decimal(row["before_usd"]) + Decimal(row["difference_usd"]) == Decimal(row["after_usd"])
    assert sum(cost for cost, _ in before.values()) == sum(cost for cost, _ in after.values()) > 0
    assert after[("four", "44")][1] > 5 and ("payments", "unknown") in after
    money = ("call_key", "application", "cost_usd", "input_tokens", "price_version")
    now = ledger.json("query", CALLS)
    assert [[row[name] for name in money] for row in now] == [[row[name] for name in money] for row in calls]
    assert {row["labels"] for row in now if row["team"] == "four"} == {"{'tier':'gold'}"}
    posted = ledger.entries()
    assert {row["changed"] for row in ledger.json("reattribute", *EVER, "--config", "t.yaml")} == {0}
    assert ledger.entries() == posted


def test_the_way_back(tokentide: Tokentide, tables: None) -> None:
    """Without the tables history is again what was said; rollups and the ledger agree all the time."""
    ledger = Ledger(tokentide)
    before = ledger.json("query", CALLS)
    ledger.json("reattribute", *EVER, "--config", "t.yaml")
    by_day = "SELECT team, toString(sum(cost_usd)) AS cost FROM genai_rollup_day GROUP BY team HAVING sum(calls) != 0"
    assert {row["team"]: Decimal(row["cost"]) for row in ledger.json("query", by_day)}.keys() == {
        team for team, _ in ledger.sums()
    }
    ledger.json("reattribute", *EVER)
    assert ledger.json("query", CALLS) == before


def test_tables_at_arrival_are_tables_afterwards(tokentide: Tokentide, tables: None) -> None:
    """Calls that arrived with the tables leave `reattribute` nothing to post; without them it takes all back."""
    ledger = Ledger(tokentide, "--config", "t.yaml")
    assert ("four", "44") in ledger.sums()
    assert {row["changed"] for row in ledger.json("reattribute", *EVER, "--config", "t.yaml")} == {0}
    without = ledger.json("reattribute", *EVER, "--dry-run")
    assert sum(row["changed"] for row in without) == sum(row["calls_before"] for row in without)


def test_in_words(tokentide: Tokentide, tables: None) -> None:
    """The last line says how many calls and how many dollars; a table that cannot be read is a sentence."""
    Ledger(tokentide)
    run = tokentide("reattribute", *EVER, "--dry-run", "--config", "t.yaml", "--data-dir", "d")
    assert run.code == 0 and "calls would change, $" in run.out.splitlines()[-1]
    run = tokentide("reattribute", "--since", "2100-01-01", "--data-dir", "d")
    assert run.code == 0 and run.out == "no calls in this time\n"
    Path("owners.csv").unlink()
    run = tokentide("reattribute", *EVER, "--dry-run", "--config", "t.yaml", "--data-dir", "d")
    assert run.code == 1 and "owners.csv cannot be read" in run.err and len(run.err.splitlines()) == 1
