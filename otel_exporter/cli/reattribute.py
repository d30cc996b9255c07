"""`tokentide reattribute`: the calls of a time range by the enrichment tables of today."""

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


def reattribute(
    since: Annotated[str, typer.Option(help="Calls that started then or later: a date, a time, or 90m, 12h, 30d, 4w.")],
    until: Annotated[str, typer.Option(help="Calls that started before: a date or time.  [default: now]")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, post nothing.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Give the calls of a time range to teams and cost centres anew, after enrichment tables changed.

    Shows calls and cost before and after by team and cost centre; no call changes its price. Stop serve first: only
    one process may post to the ledger.
    """
    from otel_exporter import logs, report
    from otel_exporter import reattribute as reattributing
    from otel_exporter.reprice import Range

    now = datetime.now(UTC)
    time = Range(report.since(since, now), report.since(until, now) if until else now)
    settings = settings_for(config, data_dir, clickhouse_url)
    logs.configure("warning", settings.log.format)
    with shown("attributing") as progress:
        changes = (reattributing.dry_run if dry_run else reattributing.apply)(settings, time, progress)
    if form is not Format.TABLE or changes.rows:
        render(changes, form)
    if form is Format.TABLE:
        sys.stdout.write(_sum(changes, dry_run=dry_run))


def _sum(changes: Table, *, dry_run: bool) -> str:
    """The line below the table."""
    calls, changed = (_total(changes, name) for name in ("calls_before", "changed"))
    if not calls:
        return "no calls in this time\n"
    moved = sum((max(row[-1], Decimal(0)) for row in changes.rows), Decimal(0))
    would = "would change" if dry_run else "changed"
    return f"{changed} of {calls} calls {would}, ${moved:f} between teams and cost centres\n"


def _total(table: Table, column: str) -> int:
    place = table.columns.index(column)
    return sum(row[place] for row in table.rows)
