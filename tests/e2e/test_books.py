"""Months closed with the real commands, beside a running `serve` and without one: documents, adjustments, FOCUS."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from otel_exporter.demo import exports
from otel_exporter.demo.history import Call, calls
from tests import focus_validator
from tests.e2e.house import PATIENCE, TOKENTIDE, asked, outside, serving, tokentide

AUGUST = tuple(calls(datetime(2026, 8, 28, 23, tzinfo=UTC), 3))
FORMS = ("csv", "parquet", "focus")
DEARER = "prices: {charge: local, overrides: [{models: 'gpt-4o*', per_million: {input: 100, output: 300}}]}\n"


def bodies(history: Sequence[Call]) -> list[bytes]:
    return list(exports.traces([(call, None) for call in history]))


def done(*arguments: object, cwd: Path) -> str:
    ran = tokentide(*arguments, cwd=cwd)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def document(data_dir: Path, month: str, form: str) -> bytes:
    """As a file that the command's output is sent to."""
    return subprocess.run(
        [TOKENTIDE, "statement", "show", month, "--format", form, "--data-dir", data_dir],
        env=outside(),
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    ).stdout


def test_late_postings_and_new_prices_leave_the_statement_as_it_was(tmp_path: Path) -> None:
    """August is closed beside a running serve; then late calls come and August is priced anew. Its statement stays the
    same bytes in every form, the difference is in September's, both are valid FOCUS, and what `report` said at the cut
    it says again with --as-of."""
    history = list(AUGUST)
    late = history[-60:]
    data_dir = tmp_path / "d"
    with serving(data_dir) as house:
        for body in bodies(history[:-60]):
            house.send("/v1/traces", body)
        first = json.loads(done("close", "2026-08", "--data-dir", data_dir, "--format", "json", cwd=tmp_path))[0]
        assert first["new"] and first["calls"] > 100
        before = {form: document(data_dir, "2026-08", form) for form in FORMS}
        for body in bodies(late):
            house.send("/v1/traces", body)
        house.wait_for(f"SELECT 1 FROM genai_calls HAVING count() > {first['calls']}")
        again = json.loads(done("close", "2026-08", "--data-dir", data_dir, "--format", "json", cwd=tmp_path))[0]
        assert again == first | {"new": False}
    (tmp_path / "dearer.yaml").write_text(DEARER)
    done("reprice", "--since", "2026-08-01", "--config", "dearer.yaml", "--data-dir", data_dir, cwd=tmp_path)
    done("close", "2026-09", "--data-dir", data_dir, cwd=tmp_path)
    assert {form: document(data_dir, "2026-08", form) for form in FORMS} == before

    rows = {month: list(csv.DictReader(io.StringIO(document(data_dir, month, "csv").decode()))) for month in MONTHS}
    assert {(row["kind"], row["of_period"]) for row in rows["2026-09"]} == {("adjustment", "2026-08")}
    total = Decimal(asked(data_dir, "SELECT sum(cost_usd * sign) AS c FROM genai_ledger")[0]["c"])
    assert sum(money(rows[month]) for month in MONTHS) == total and money(rows["2026-09"]) > 1
    parquet = pl.read_parquet(io.BytesIO(before["parquet"]))
    assert parquet["cost_usd"].sum() == money(rows["2026-08"]) == Decimal(first["cost_usd"])

    said = ("--since", "2026-08-01", "--data-dir", data_dir, "--format", "json")
    then = json.loads(done("report", "--as-of", first["cut_at"], *said, cwd=tmp_path))[0]
    assert (then["section"], then["calls"], Decimal(then["cost_usd"])) == (
        "total",
        first["calls"],
        money(rows["2026-08"]),
    )

    for month in MONTHS:
        (tmp_path / f"{month}.csv").write_bytes(document(data_dir, month, "focus"))
        assert not focus_validator.complaints(tmp_path / f"{month}.csv")


MONTHS = ("2026-08", "2026-09")


def money(rows: Sequence[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]), Decimal(0))


def test_the_validator_finds_fault_with_what_is_wrong(tmp_path: Path) -> None:
    """A file without charges' currency and with a category nobody knows passes no version: the validators do look."""
    (tmp_path / "bad.csv").write_text("BilledCost,ChargeCategory,ServiceCategory\n1.0,Usage,Cookery\n")
    assert set(focus_validator.complaints(tmp_path / "bad.csv")) == focus_validator.versions()


def test_what_if_beside_a_running_serve(tmp_path: Path) -> None:
    """Advice and what-if answer while serve owns the directory: the budget refuses, the configuration is printed."""
    data_dir = tmp_path / "d"
    with serving(data_dir) as house:
        for body in bodies(list(AUGUST)):
            house.send("/v1/traces", body)
        house.wait_for("SELECT 1 FROM genai_calls HAVING count() > 100")
        span = ("--since", "2026-08-01", "--data-dir", data_dir)
        swapped = json.loads(
            done(
                "what-if", "--model", "claude-sonnet-4-5-20250929=gpt-4o-mini", *span, "--format", "json", cwd=tmp_path
            )
        )[0]
        assert Decimal(swapped["saved_usd"]) > 0 and "claude-sonnet-4-5-20250929: gpt-4o-mini" in swapped["config"]
        text = done("what-if", "--budget", "team=0.01/day", *span, cwd=tmp_path)
        assert "Refused by $0.01 a day for each team" in text and "max_budget: 0.01" in text
        advice = json.loads(done("advise", *span, "--format", "json", cwd=tmp_path))
        assert advice and all(Decimal(line["saved_usd"]) > 0 and line["assumption"] for line in advice)
        nothing = tokentide("what-if", *span, cwd=tmp_path)
        assert nothing.returncode == 2 and "say what: --model" in nothing.stderr
