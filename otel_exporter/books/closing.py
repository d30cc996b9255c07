"""Closing a period: its statement is computed once, at a cut of the postings, and kept as it is for ever."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import polars as pl

from clickhouse_schema import retention
from clickhouse_schema.tables import DERIVED
from forecasting import periods, results
from forecasting.periods import Span
from otel_exporter.asking import direct
from otel_exporter.books import statement
from otel_exporter.books.documents import documents, sha256
from otel_exporter.books.record import Closing, closings
from otel_exporter.failures import Reason, Refused

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.assembly import Assembly

#: Seconds that what was acknowledged before may take to be written.
PATIENCE: Final = 120.0
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
#: A posting dated further ahead than this means that a clock is wrong, and no cut would hold.
_AHEAD: Final = timedelta(minutes=1)


def span_of(period: str, timezone: str) -> Span:
    """The month ``2026-11`` by the calendar of ``timezone``.

    Raises:
        Refused: it is no month.
    """
    if not (found := _MONTH.fullmatch(period)) or not 1971 <= int(found[1]) <= 2099:
        raise Refused(Reason.MALFORMED, f"{period!r} is no month such as 2026-11")
    return periods.span("month", timezone, datetime(int(found[1]), int(found[2]), 15, tzinfo=UTC))


def close(
    parts: Assembly, period: str, timezone: str, now: datetime, *, unfinished: bool = False
) -> tuple[Closing, bool]:
    """Close a month; its closing, and whether it was closed just now (else it was before: nothing has changed).

    Args:
        parts: whose writer posts to the ledger.
        period: the month, ``2026-11``.
        timezone: whose calendar.
        now: the time.
        unfinished: close it though it is not over: what starts in the rest of it is an adjustment of the next.

    Raises:
        Refused: no month; not over yet; not the one after the last that was closed; the writer stopped.
        RetryLater: ClickHouse does not take what waits in the spool.
    """
    with parts.writer.standstill(PATIENCE):
        books = closings(direct(parts.store))
        if (old := next((one for one in books if one.period == period), None)) is not None:
            return old, False
        span = _next_span(books, period, timezone)
        if now < span.start:
            raise Refused(Reason.MALFORMED, f"{period} has not begun")
        if now < span.end and not unfinished:
            raise Refused(Reason.MALFORMED, f"{period} is not over before {span.end:%Y-%m-%d %H:%M} UTC (--unfinished)")
        _check_clock(parts.store, parts.clock())
        cut = parts.clock.cut()
        write(parts.store, books, period, timezone, span, cut, unfinished=now < span.end)
    return next(one for one in closings(direct(parts.store)) if one.period == period), True


def _next_span(books: Sequence[Closing], period: str, timezone: str) -> Span:
    """Months follow one another: no call is between two, or in both, even when the time zone has changed."""
    span = span_of(period, timezone)
    if not books:
        return span
    last = books[-1]
    year, month = map(int, last.period.split("-"))
    following = f"{year + month // 12}-{month % 12 + 1:02}"
    if period != following:
        raise Refused(Reason.MALFORMED, f"{last.period} was closed last, so {following} is the next to close")
    return Span(last.ends_at, span.end)


def _check_clock(store: Store, now: datetime) -> None:
    latest = store.arrow("SELECT max(posted_at) AS latest FROM otel.genai_ledger")["latest"].item()
    if latest is not None and latest > now + _AHEAD:
        raise Refused(
            Reason.STORE,
            f"the ledger has postings of {latest:%Y-%m-%d %H:%M:%S} UTC, which is to come: check the clock",
        )


def write(
    store: Store, books: Sequence[Closing], period: str, timezone: str, span: Span, cut: datetime, *, unfinished: bool
) -> None:
    """Compute the statement and keep it. The closing's own row is written last: without it nothing was closed."""
    closing_id = str(uuid4())
    rows = _rows(store, books, closing_id, period, span, cut)
    spans = {one.period: Span(one.starts_at, one.ends_at) for one in books} | {period: span}
    files = documents(rows, spans, period)
    if rows.height:
        results.write(store, rows, f"{closing_id}/rows", "genai_statement")
    record = {
        "closing_id": closing_id,
        "period": period,
        "timezone": timezone,
        "starts_at": span.start,
        "ends_at": span.end,
        "cut_at": cut,
        "unfinished": unfinished,
        "row_count": rows.height,
        "calls": rows["calls"].sum(),
        "cost_usd": rows["cost_usd"].sum() if rows["cost_usd"].count() else None,
        **{f"{name}_sha256": sha256(file) for name, file in files.items()},
        **files,
    }
    results.write(store, pl.DataFrame([record], schema=DERIVED["genai_closing"]), closing_id, "genai_closing")


def _rows(
    store: Store, books: Sequence[Closing], closing_id: str, period: str, span: Span, cut: datetime
) -> pl.DataFrame:
    kept = retention.kept_days(store).get("genai_ledger", 0)
    whole_since = cut - timedelta(days=kept - 1) if kept else None
    own = statement.stands(store, span.start, span.end)
    parts = [statement.rows_of(closing_id, period, statement.USAGE, period, own)]
    for one in books:
        if whole_since is None or one.starts_at >= whole_since:  # of what the ledger forgets the statement stays
            now = statement.stands(store, one.starts_at, one.ends_at)
            change = statement.difference(now, statement.stated(store, one.period))
            parts.append(statement.rows_of(closing_id, period, statement.ADJUSTMENT, one.period, change))
    return statement.statement(parts)
