"""The report: spend by team, model and day, tokens by class, errors, and what has no price. Each part is one SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, TextIO

from otel_exporter.asking import Ask, table
from otel_exporter.books.as_of import CALLS_AS_OF
from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Format, Table, render, write_json

_CALLS: Final = "FROM genai_calls AS c WHERE c.started_at >= parseDateTime64BestEffort({since:String}, 9, 'UTC')"
_SPEND: Final = """count() AS calls, countIf(c.status = 'error') AS errors, countIf(c.cost_usd IS NULL) AS unpriced,
    sum(c.input_tokens) AS input_tokens, sum(c.output_tokens) AS output_tokens, sum(c.cost_usd) AS cost_usd"""
_MICRO: Final = Decimal("0.000001")


@dataclass(frozen=True)
class Part:
    """One table of the report."""

    name: str
    title: str
    sql: str


PARTS: Final = (
    Part("total", "Total", f"SELECT {_SPEND}, ifNull(sum(c.saved_usd), 0) AS saved_usd {_CALLS}"),
    Part("team", "Spend by team", f"SELECT team, {_SPEND} {_CALLS} GROUP BY team ORDER BY cost_usd DESC, team"),
    Part(
        "model",
        "Spend by model",
        f"SELECT provider, model, {_SPEND} {_CALLS} GROUP BY provider, model ORDER BY cost_usd DESC, provider, model",
    ),
    Part(
        "day", "Spend by day (UTC)", f"SELECT toDate(c.started_at) AS day, {_SPEND} {_CALLS} GROUP BY day ORDER BY day"
    ),
    Part(
        "tokens",
        "Tokens by class (input includes cache, output includes reasoning)",
        f"""SELECT tupleElement(pair, 1) AS class, tupleElement(pair, 2) AS tokens FROM (SELECT arrayJoin([
            ('input', sum(c.input_tokens)), ('cache_read', sum(c.cache_read_tokens)),
            ('cache_write', sum(c.cache_write_tokens)), ('output', sum(c.output_tokens)),
            ('reasoning', sum(c.reasoning_tokens)), ('audio_input', sum(c.audio_input_tokens)),
            ('audio_output', sum(c.audio_output_tokens)), ('image', sum(c.image_tokens))]) AS pair {_CALLS})
            WHERE tokens > 0""",
    ),
    Part(
        "errors",
        "Errors",
        f"""SELECT error_code, error_type, provider, model, count() AS calls {_CALLS} AND c.status = 'error'
            GROUP BY error_code, error_type, provider, model ORDER BY calls DESC, error_code, error_type, model""",
    ),
    Part(
        "unpriced",
        "Calls without a price",
        f"""SELECT provider, model, requested_model, arrayStringConcat(arraySort(arrayDistinct(
            arrayFlatten(groupArray(c.issues)))), ', ') AS issues, count() AS calls {_CALLS} AND c.cost_usd IS NULL
            GROUP BY provider, model, requested_model ORDER BY calls DESC, provider, model""",
    ),
)
UNPRICED_MODELS: Final = Part(
    "unpriced_models",
    "Models without a price",
    f"""SELECT provider, model, requested_model, arraySort(groupUniqArrayArray(c.issues)) AS issues, count() AS calls,
        sum(c.input_tokens) AS input_tokens, sum(c.output_tokens) AS output_tokens, min(c.started_at) AS first_call,
        max(c.started_at) AS last_call, argMax(c.call_key, c.started_at) AS such_as {_CALLS} AND c.cost_usd IS NULL
        GROUP BY provider, model, requested_model ORDER BY calls DESC, provider, model, requested_model""",
)

_SPAN: Final = re.compile(r"(\d+)\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def since(text: str, now: datetime) -> datetime:
    """The moment ``30d``, ``12h``, ``4w``, ``90m`` before ``now``, or the date or time written out (UTC).

    Raises:
        Refused: it is neither.
    """
    try:
        if match := _SPAN.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Refused(Reason.MALFORMED, f"{text!r} is no span such as 30d or 12h and no date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def build(ask: Ask, start: datetime, as_of: datetime | None = None) -> dict[str, Table]:
    """Every part of the report by its name, over the calls that started at or after ``start``.

    ``as_of``: as the calls stood then; None is now.
    """
    return {part.name: answer(ask, part, start, as_of) for part in PARTS}


def answer(ask: Ask, part: Part, start: datetime, as_of: datetime | None = None) -> Table:
    """One part of the report."""
    since = {"since": start.astimezone(UTC).isoformat()}
    if as_of is None:
        return table(ask, part.sql, since, part.title)
    sql = part.sql.replace("FROM genai_calls AS c", f"FROM {CALLS_AS_OF} AS c")
    moment = as_of.astimezone(UTC)
    return table(
        ask, sql, {**since, "as_of": moment.isoformat()}, f"{part.title}, as of {moment:%Y-%m-%d %H:%M:%S} UTC"
    )


def show(tables: Mapping[str, Table], form: Format, out: TextIO) -> None:
    """Print a report: tables below each other for people, one array or sheet with a ``section`` for programs."""
    if form is Format.JSON:
        write_json(_records(tables), out)
    elif form is Format.CSV:
        render(Table.of(_records(tables)), form, out)
    else:
        _show_people(tables, out)


def _show_people(tables: Mapping[str, Table], out: TextIO) -> None:
    if not _calls(tables):
        out.write("no calls in this time\n")
        return
    for part in tables.values():
        if part.rows:
            render(_for_people(part), Format.TABLE, out)
            out.write("\n")


def _calls(tables: Mapping[str, Table]) -> int:
    total = tables["total"]
    return int(total.rows[0][total.columns.index("calls")])


def _records(tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    for name, part in tables.items():
        for row in part.rows:
            yield {"section": name, **dict(zip(part.columns, row, strict=True))}


def _for_people(part: Table) -> Table:
    """Dollars with six digits, so that columns line up; what is not known is called so."""
    rows = [[_readable(name, value) for name, value in zip(part.columns, row, strict=True)] for row in part.rows]
    return replace(part, rows=rows)


def _readable(column: str, value: Any) -> Any:
    if value is None:
        return "unknown"
    if column.endswith("_usd"):
        return f"{Decimal(value).quantize(_MICRO, ROUND_HALF_EVEN):,f}"
    return "-" if value == "" else value
