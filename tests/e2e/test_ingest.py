"""The ledger as an outsider gets it: OTLP files in with `tokentide ingest`, rows out with `tokentide query`."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.corpus.cases import DATA, cases, differences
from tests.e2e.house import asked, tokentide

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
#: Dollars for a million tokens: input, cache read, cache write, output. From the providers' price lists.
PRICES = {
    "gpt-4o-mini": ("0.15", "0.075", "0", "0.60"),
    "gpt-4o": ("2.50", "1.25", "0", "10"),
    "claude-sonnet-4-5-20250929": ("3", "0.30", "3.75", "15"),
    "text-embedding-3-small": ("0.02", "0", "0", "0"),
}
#: Each is a process; all cases go through the same parts in `tests/corpus/test_table.py`.
NAMES = ("anthropic_cached", "embedding", "fail_429", "router_fallback")
CASES = [case for case in cases("litellm") if case.producer == "litellm" and case.name in NAMES]
SQL = """
SELECT tenant, status, error_code, model, response_model, provider, input_tokens, output_tokens, reasoning_tokens,
  cache_read_tokens, cache_write_tokens, team, team_id, api_key_alias, user_id, end_user, session_id,
  tags, cache_hit, cost_usd
FROM genai_calls
"""


def test_rows_are_the_calls_that_were_made(tmp_path: Path) -> None:
    """Calls, tokens by class, model, status, attribution and cost of real exports are what really happened."""
    rows = ingested(tmp_path)
    assert {row["tenant"] for row in rows} == {case.name for case in CASES}
    for case in CASES:
        mine = [row for row in rows if row["tenant"] == case.name]
        assert differences(case.calls, pl.DataFrame(mine)) == [], case
        assert sorted(Decimal(row["cost_usd"]) for row in mine) == sorted(map(cost, case.calls)), case


def test_a_file_counts_once_and_formats_do_not_matter(tmp_path: Path) -> None:
    """Storing the same file again, or the same request compressed, adds nothing; what is no OTLP is one sentence."""
    file = DATA / "litellm" / "success.traces.pb"
    (tmp_path / "again.traces.pb.gz").write_bytes(gzip.compress(file.read_bytes()))
    (tmp_path / "broken.traces.pb").write_bytes(b"not OTLP")
    for path in (file, file, tmp_path / "again.traces.pb.gz"):
        assert tokentide("ingest", path, "--data-dir", "data", cwd=tmp_path).returncode == 0
    broken = tokentide("ingest", "broken.traces.pb", "--data-dir", "data", cwd=tmp_path)
    assert broken.returncode == 1 and len(broken.stderr.splitlines()) == 1 and "Traceback" not in broken.stderr
    counts = "SELECT (SELECT count() FROM genai_calls) AS calls, (SELECT sum(sign) FROM genai_ledger) AS entries"
    assert asked(tmp_path / "data", counts) == [{"calls": 1, "entries": 1}]


def ingested(directory: Path) -> list[dict[str, Any]]:
    """Every case is a tenant of one directory, so that one question answers for all."""
    for case in CASES:
        files = sorted((DATA / case.producer).glob(f"{case.name}.*.pb"))
        command = ("ingest", *files, "--data-dir", directory / "data")
        ran = tokentide(*command, cwd=directory, TOKENTIDE_INGEST__TENANT=case.name)
        assert ran.returncode == 0, ran.stderr
    return asked(directory / "data", SQL)


def cost(call: Mapping[str, Any]) -> Decimal:
    """What a call costs by the price list. A failed one costs nothing."""
    if call["status"] != "ok":
        return Decimal(0)
    read, written, output = (call[name] for name in ("cached_input_tokens", "cache_write_tokens", "output_tokens"))
    counts = (call["input_tokens"] - read - written, read, written, output)
    return sum((Decimal(price) * n for price, n in zip(PRICES[call["model"]], counts, strict=True)), Decimal(0)) / 10**6
