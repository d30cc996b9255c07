"""`make corpus`: every export of the corpus through the whole path, beside what really happened; a table per producer.

Each case is a tenant of its own in one database: commit, spool, freeze, post and insert as `tokentide ingest` does
them, then `genai_calls` as anybody reads it. What a call should cost is LiteLLM's own calculator over the true tokens.
Exit code 1 when a case is not the truth.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import polars as pl
from rich.console import Console
from rich.table import Table

from otel_exporter.assembly import assembled
from otel_exporter.commit import Request
from otel_exporter.config import load
from processors.batch import Signal
from tests.corpus.cases import DATA, Case, cases, differences

_PATIENCE: Final = 120.0
#: A producer's own number is a binary fraction.
_ROUNDING: Final = Decimal("1e-12")


@dataclass(frozen=True)
class Verdict:
    """A case, its rows, and why they are not the truth."""

    case: Case
    calls: pl.DataFrame
    reasons: list[str]


def main() -> int:
    """Print the table."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        verdicts = list(judged(Path(directory)))
    console = Console()
    for verdict in verdicts:
        for reason in verdict.reasons:
            console.print(f"{verdict.case}: {reason}", markup=False)
    console.print(_table(verdicts))
    equal = sum(not verdict.reasons for verdict in verdicts)
    console.print(f"{equal}/{len(verdicts)} cases equal what happened = {100 * equal / len(verdicts):.1f} %")
    return 0 if equal == len(verdicts) else 1


def judged(directory: Path) -> Iterator[Verdict]:
    """Every case, ingested into an embedded store in ``directory``."""
    settings = load(None, {"TOKENTIDE_STORE__DATA_DIR": str(directory / "data")}, ()).settings
    with assembled(settings) as parts:
        for case in cases():
            requests = [
                Request(signal, str(case), file.read_bytes())
                for signal in (Signal.TRACES, Signal.LOGS)
                if (file := DATA / case.producer / f"{case.name}.{signal.value}.pb").exists()
            ]
            failures = [failure for failure in parts.commit.commit(requests).values() if failure]
            assert not failures, failures
        assert parts.writer.drain(_PATIENCE), parts.writer.state
        for case in cases():
            calls = parts.store.arrow(
                "SELECT * REPLACE (toString(status) AS status) FROM otel.genai_calls WHERE tenant = {tenant:String}",
                {"tenant": str(case)},
            )
            yield Verdict(case, calls, differences(case.calls, calls) + list(_charges(calls)))


def _charges(calls: pl.DataFrame) -> Iterator[str]:
    """In what the money differs: a served call costs what LiteLLM computes, a cache hit and a failure nothing.

    A coding agent that says what its call cost is believed.
    """
    for call in calls.to_dicts():
        wanted = _wanted(call)
        if (call["cost_usd"] is None) != (wanted is None):
            yield f"{call['model']} is charged {call['cost_usd']}, want {wanted}"
        elif wanted is not None and abs(call["cost_usd"] - wanted) > _ROUNDING:
            yield f"{call['model']} is charged {call['cost_usd']} ({call['cost_source']}), want {wanted}"
        if call["cache_hit"] and call["saved_usd"] is None:
            yield f"{call['model']} from the cache saved nothing"


def _wanted(call: Mapping[str, Any]) -> Decimal | None:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from litellm import cost_per_token

    if call["cache_hit"] or call["status"] == "error":
        return Decimal(0)
    if call["input_tokens"] is None:
        return None
    if call["cost_source"] == "client":
        return Decimal(call["cost_reported_usd"])
    parts = cost_per_token(
        model=call["model"],
        prompt_tokens=call["input_tokens"],
        completion_tokens=call["output_tokens"] or 0,
        cache_read_input_tokens=call["cache_read_tokens"] or 0,
        cache_creation_input_tokens=call["cache_write_tokens"] or 0,
    )
    return sum((Decimal(repr(part)) for part in parts), Decimal(0))


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("producer", "cases", "equal", "calls", "observations", "charged USD")
    for producer, group in groupby(verdicts, lambda verdict: verdict.case.producer):
        mine = list(group)
        calls = pl.concat([verdict.calls for verdict in mine])
        table.add_row(
            producer,
            str(len(mine)),
            str(sum(not verdict.reasons for verdict in mine)),
            str(calls.height),
            str(calls["observations"].sum()),
            f"{calls['cost_usd'].sum():.8f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
