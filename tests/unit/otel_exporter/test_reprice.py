"""`tokentide reprice` on real exports in a real ClickHouse: sums, ranges, repetition, interruption."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from clickhouse_schema.store import Store
from otel_exporter import reprice as repricing
from otel_exporter import runfile, upkeep
from otel_exporter.config.tree import Settings, StoreSettings
from tests.corpus.cases import DATA
from tests.unit.otel_exporter.conftest import Tokentide

DEARER = "prices: {charge: local, overrides: [{models: 'gpt-4o*', per_million: {input: 100, output: 300}}]}\n"
EVER = ("--since", "2020-01-01")
SUMS = """SELECT team, model, toString(sum(cost_usd * sign)) AS cost, toInt64(sum(sign)) AS calls,
    toInt64(sum(input_tokens * sign)) AS input_tokens, toInt64(countIf(cost_usd IS NULL AND sign > 0))
    - toInt64(countIf(cost_usd IS NULL AND sign < 0)) AS unpriced FROM genai_ledger GROUP BY team, model"""


class Ledger:
    """A data directory with the calls of the LiteLLM exports, and the command."""

    def __init__(self, tokentide: Tokentide) -> None:
        self._tokentide = tokentide
        files = sorted((DATA / "litellm").glob("*.traces.pb"))
        assert tokentide("ingest", *files, "--data-dir", "d").code == 0

    def json(self, *arguments: str) -> Any:
        run = self._tokentide(*arguments, "--data-dir", "d", "--format", "json")
        assert run.code == 0, run.err
        return json.loads(run.out)

    def sums(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The ledger's signed sums by team and model."""
        rows = self.json("query", SUMS)
        return {(row["team"], row["model"]): row | {"cost": Decimal(row["cost"] or 0)} for row in rows if row["calls"]}

    def entries(self) -> int:
        return int(self.json("query", "SELECT count() AS n FROM genai_ledger")[0]["n"])


@pytest.fixture
def ledger(tokentide: Tokentide, tmp_path: Path) -> Ledger:
    (tmp_path / "dearer.yaml").write_text(DEARER)
    return Ledger(tokentide)


def test_before_plus_difference_is_after(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dry run and real run say the same by team and model; the ledger's sums before + difference = after, exactly.

    Read in slices of a few entries as in one; calls and tokens stay; a second run posts nothing.
    """
    before, entries = ledger.sums(), ledger.entries()
    said = ledger.json("reprice", *EVER, "--config", "dearer.yaml", "--dry-run")
    assert ledger.sums() == before and ledger.entries() == entries
    monkeypatch.setattr(repricing, "SLICE", 5)
    assert ledger.json("reprice", *EVER, "--config", "dearer.yaml") == said
    after = ledger.sums()
    changes = {(row["team"], row["model"]): row for row in said}
    assert changes.keys() == before.keys() == after.keys()
    for name, change in changes.items():
        assert Decimal(change["before_usd"]) == before[name]["cost"]
        assert before[name]["cost"] + Decimal(change["difference_usd"]) == after[name]["cost"]
        assert Decimal(change["after_usd"]) == after[name]["cost"]
        assert change["calls"] == before[name]["calls"] == after[name]["calls"]
        assert before[name]["input_tokens"] == after[name]["input_tokens"]
        assert (change["unpriced_before"], change["unpriced_after"]) == (
            before[name]["unpriced"],
            after[name]["unpriced"],
        )
    assert sum(Decimal(row["difference_usd"]) for row in said) > Decimal("0.1")
    posted = ledger.entries()
    assert {row["changed"] for row in ledger.json("reprice", *EVER, "--config", "dearer.yaml")} == {0}
    assert ledger.entries() == posted


def test_explain_accounts_for_every_old_number(ledger: Ledger, tmp_path: Path) -> None:
    """After two price changes and a merge of the whole table, every call's postings still show each number it had."""
    numbers: dict[str, list[Any]] = {}
    for config in (None, "dearer.yaml", None):
        if numbers:
            ledger.json("reprice", *EVER, *(("--config", config) if config else ()))
        for row in ledger.json("query", "SELECT call_key, cost_usd FROM genai_calls"):
            numbers.setdefault(row["call_key"], []).append(row["cost_usd"])
    with Store.embedded(tmp_path / "d") as store:
        store.command("OPTIMIZE TABLE otel.genai_ledger FINAL")
    assert ledger.entries() == len(numbers)
    for call_key in sorted(numbers)[::9]:
        [explained] = ledger.json("explain", call_key)
        postings = explained["postings"]
        entered = [line["cost_usd"] for line in postings if line["sign"] > 0]
        assert _different(entered) == _different(numbers[call_key])
        signed = sum(Decimal(line["cost_usd"] or 0) * line["sign"] for line in postings)
        assert signed == Decimal(numbers[call_key][-1] or 0)
        assert [line["posted_at"] for line in postings[1:]] == sorted(line["posted_at"] for line in postings[1:])


def test_only_the_range_is_priced_anew(ledger: Ledger) -> None:
    """Calls that started before `--since`, or at or after `--until`, keep their price, within one hour too."""
    sql = """SELECT call_key, toString(started_at) AS at, cost_usd FROM genai_calls
        WHERE model LIKE 'gpt-4o%' AND status = 'ok' ORDER BY started_at, call_key"""
    rows = ledger.json("query", sql)
    first, last = rows[3]["at"], rows[-3]["at"]
    ledger.json("reprice", "--since", f"{first}+00:00", "--until", f"{last}+00:00", "--config", "dearer.yaml")
    after = ledger.json("query", sql)
    changed = {row["at"] for row, now in zip(rows, after, strict=True) if row["cost_usd"] != now["cost_usd"]}
    # A moment of Python has microseconds: what starts within one of the bounds may fall on either side.
    assert {at for at in changed if not first[:26] <= at[:26] <= last[:26]} == set()
    assert len(changed) > 5 and rows[0]["at"] not in changed and rows[-1]["at"] not in changed


def test_what_was_cut_goes_on(ledger: Ledger, tokentide: Tokentide, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies after some slices has posted whole calls only; running it again posts just the rest."""
    whole = ledger.json("reprice", *EVER, "--config", "dearer.yaml", "--dry-run")
    monkeypatch.setattr(repricing, "SLICE", 10)
    really, posted = upkeep.post, []

    def dies(*arguments: Any) -> None:
        if len(posted) == 2:
            raise KeyboardInterrupt
        posted.append(really(*arguments))

    monkeypatch.setattr(upkeep, "post", dies)
    assert tokentide("reprice", *EVER, "--config", "dearer.yaml", "--data-dir", "d").code == 130
    monkeypatch.setattr(upkeep, "post", really)
    rest = ledger.json("reprice", *EVER, "--config", "dearer.yaml")
    assert 0 < sum(row["changed"] for row in rest) < sum(row["changed"] for row in whole)
    assert {(row["team"], row["model"]): row["after_usd"] for row in rest} == {
        (row["team"], row["model"]): row["after_usd"] for row in whole
    }


def test_slices_hold_everything_once(data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their size, the slices of a range are bounded and together hold each entry exactly once."""
    whole = repricing.Range(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC))
    for size in (1, 2, 3, 100):
        monkeypatch.setattr(repricing, "SLICE", size)
        read = [repricing.read(store, portion) for portion in repricing.slices(store, whole)]
        assert sorted(key for part in read for key in part["call_key"]) == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize("arguments", [["reprice", *EVER], ["reprice", *EVER, "--dry-run"], ["reconcile"]])
def test_not_beside_a_serve(tokentide: Tokentide, tmp_path: Path, arguments: list[str]) -> None:
    """While a serve owns the directory the command says in one sentence to stop it first."""
    with runfile.claim(tmp_path / "d") as claim:
        claim.publish({})
        run = tokentide(*arguments, "--data-dir", "d")
    assert run.code == 1 and "stop it first" in run.err and len(run.err.splitlines()) == 1


def test_no_data_is_no_database(tokentide: Tokentide, tmp_path: Path) -> None:
    """A mistyped directory is said to hold no data, and no database is made in it."""
    for arguments in (["reprice", *EVER], ["reprice", *EVER, "--dry-run"], ["reconcile"], ["explain", "x"]):
        run = tokentide(*arguments, "--data-dir", "typo")
        assert run.code == 1 and "there are no data in typo" in run.err
    assert not (tmp_path / "typo" / "clickhouse").exists()


def test_nothing_in_the_time(tokentide: Tokentide, data_dir: Path) -> None:
    """No calls in the time asked for is said in words."""
    run = tokentide("reprice", "--since", "2100-01-01", "--dry-run", "--data-dir", data_dir)
    assert run.code == 0 and run.out == "no calls in this time\n"


def test_terms_of_the_configuration_count(ledger: Ledger, tokentide: Tokentide, tmp_path: Path) -> None:
    """Discounts and margins of the file reach the price book; a table that cannot be read is a sentence."""
    (tmp_path / "terms.yaml").write_text(
        "prices: {charge: local, discounts: [{percent: 50}], margins: [{percent: 100, per_call_usd: 1}]}\n"
    )
    before = sum(row["calls"] for row in ledger.sums().values())
    ledger.json("reprice", *EVER, "--config", "terms.yaml")
    sql = "SELECT discount_usd, margin_usd, cost_local_usd, cost_usd FROM genai_calls WHERE cost_source = 'local'"
    rows = ledger.json("query", sql)
    assert 10 < len(rows) <= before
    assert all(Decimal(row["discount_usd"]) > 0 and Decimal(row["margin_usd"]) > 1 for row in rows)
    (tmp_path / "no.yaml").write_text("prices: {file: none.json}\n")
    run = tokentide("reprice", *EVER, "--dry-run", "--config", "no.yaml", "--data-dir", "d")
    assert run.code == 1 and "none.json cannot be read" in run.err and len(run.err.splitlines()) == 1


def test_faulty_terms_are_configuration_faults(tokentide: Tokentide, tmp_path: Path) -> None:
    """`config check` shows each mistake in prices with its path and reason, exit 2."""
    (tmp_path / "t.yaml").write_text(
        "prices:\n  overrides: [{models: m, per_million: {input: dear}}]\n  discounts: [{percent: 200}]\n"
        "  margins: [{percnt: 1}]\n"
    )
    run = tokentide("config", "check", "t.yaml")
    assert run.code == 2
    assert [line.partition(" ")[0] for line in run.err.splitlines()] == [
        "prices.discounts.0.percent",
        "prices.margins.0.percnt",
        "prices.overrides.0.per_million.input",
    ]


def test_prices_of_the_settings_are_those_of_the_book() -> None:
    """Every setting of section `prices` is an argument of the price book, beside where imported prices are."""
    from inspect import signature

    from otel_exporter.pricebook import price_book

    settings = Settings(store=StoreSettings())
    assert set(dict(settings.prices)) == set(signature(price_book).parameters) - {"data_dir"}


def _different(costs: list[str | None]) -> list[Decimal | None]:
    """The costs in their order, each only where it differs from the one before."""
    numbers = [None if cost is None else Decimal(cost) for cost in costs]
    return [number for number, _ in groupby(numbers)]
