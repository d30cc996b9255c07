"""`tokentide reprice`: the calls of a time range at today's prices."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.cli.progress import shown
from otel_exporter.render import Format, render

if TYPE_CHECKING:
    from otel_exporter.render import Table


def reprice(
    since: Annotated[str, typer.Option(help="Calls that started then or later: a date, a time, or 90m, 12h, 30d, 4w.")],
    until: Annotated[str, typer.Option(help="Calls that started before: a date or time.  [default: now]")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, post nothing.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Price the calls of a time range anew, after prices changed.

    Shows the cost before and after by team and model. What was charged before stays in the ledger: tokentide explain
    shows every posting. Stop serve first: only one process may post to the ledger.
    """
    from otel_exporter import logs, report
    from otel_exporter import reprice as repricing

    now = datetime.now(UTC)
    time = repricing.Range(report.since(since, now), report.since(until, now) if until else now)
    settings = settings_for(config, data_dir, clickhouse_url)
    logs.configure("warning", settings.log.format)
    with shown("pricing") as progress:
        changes = (repricing.dry_run if dry_run else repricing.apply)(settings, time, progress)
    if form is not Format.TABLE or changes.rows:
        render(changes, form)
    if form is Format.TABLE:
        sys.stdout.write(_sum(changes, dry_run=dry_run))


def _sum(changes: Table, *, dry_run: bool) -> str:
    """The line below the table."""
    calls, changed, difference = (_total(changes, name) for name in ("calls", "changed", "difference_usd"))
    if not calls:
        return "no calls in this time\n"
    would = "would change" if dry_run else "changed"
    sign = "-" if difference < 0 else "+"
    return f"{changed} of {calls} calls {would}, together {sign}${abs(difference):f}\n"


def _total(table: Table, column: str) -> Decimal:
    place = table.columns.index(column)
    return sum((row[place] for row in table.rows), Decimal(0))
