"""Compares a LiteLLM proxy's spend logs with the ledger, and keeps the result in `genai_agreement`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl

from otel_exporter.agreement import sides
from otel_exporter.agreement.difference import differences, disagreement, pairs, together
from otel_exporter.imports.door import Door
from otel_exporter.imports.litellm import SETTLED
from otel_exporter.imports.records import request, row
from otel_exporter.litellm_api import directory, spend_logs
from otel_exporter.litellm_api.client import LiteLLM
from processors.batch import Signal

SCOPE = "tokentide.compare.litellm"
_AT_ONCE = 2000
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Agreement:
    """One comparison: from when to when, its cells (`difference.differences`), and the share not agreed about."""

    since: datetime
    until: datetime
    cells: pl.DataFrame
    apart: Decimal


def compare(proxy: LiteLLM, door: Door, tenant: str, since: datetime, now: datetime) -> Agreement:
    """Both sides from the midnight (UTC) of ``since`` to an hour ago: what is younger may not be booked yet."""
    start = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = (now.astimezone(UTC) - SETTLED).replace(microsecond=0)
    names = directory.read(proxy)
    theirs = (sides.theirs(spend_logs.windows(proxy, *day), names) for day in _days(start, end, SETTLED))
    ours = (sides.ours(door.ask, tenant, *day, names) for day in _days(start, end, sides.SLACK))
    cells = together(
        differences(pairs(booked, held, *day))
        for day, booked, held in zip(_days(start, end), _neighbours(theirs), _neighbours(ours), strict=True)
    )
    return Agreement(start, end, cells, disagreement(cells))


def record(door: Door, agreement: Agreement, now: datetime) -> None:
    """Keep the comparison: rows of `genai_agreement`."""
    run, at = secrets.token_hex(8), int(now.timestamp() * 1e9)
    named = agreement.cells.with_columns(pl.col("day").cast(pl.Int64))
    made = [
        row("genai_agreement", at, {"run_id": run, "gateway": "litellm", **cell})
        for cell in named.iter_rows(named=True)
    ]
    for start in range(0, len(made), _AT_ONCE):
        door.send(Signal.LOGS, request(SCOPE, made[start : start + _AT_ONCE]))
    door.settle()


def _days(start: datetime, end: datetime, slack: timedelta | None = None) -> Iterator[tuple[datetime, datetime]]:
    """The days of a comparison (``start`` is a midnight). With ``slack``, also what is before and after them."""
    if slack is not None:
        yield start - sides.SLACK, start
    day = start
    while day < end:
        yield day, min(day + _DAY, end)
        day += _DAY
    if slack is not None:
        yield end, end + slack


def _neighbours(days: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Each day with the one before and the one after it: a call may be of another day on the other side, not further.

    Days share the second between them, so a row may be in two. Three days are held, whatever the period.
    """
    before, day = next(days), next(days)
    for after in days:
        yield pl.concat([before, day, after]).unique(maintain_order=True)
        before, day = day, after
