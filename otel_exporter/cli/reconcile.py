"""`tokentide reconcile`: finds calls that two posting writers left broken, and mends them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, Table, render


def reconcile(
    since: Annotated[str, typer.Option(help="Calls that started then or later: 90m, 12h, 30d, 4w, or a date.")] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what may be broken; works beside a serve.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Find calls that two writers posted at the same time, and mend them.

    A running serve does this for the last day by itself, when it starts and every hour. Without --dry-run the serve on
    the data directory must be stopped: only one process may post to the ledger.
    """
    from otel_exporter import logs, report
    from otel_exporter import reconcile as reconciling
    from otel_exporter.asking import asking, direct
    from otel_exporter.upkeep import post, upkeep

    now = datetime.now(UTC)
    start, end = report.since(since, now), now + timedelta(days=1)
    settings = settings_for(config, data_dir, clickhouse_url)
    logs.configure("warning", settings.log.format)
    mended = {}
    if dry_run:
        with asking(settings) as ask:
            broken = reconciling.find(ask, start, end)
    else:
        with upkeep(settings) as parts:
            broken = reconciling.find(direct(parts.store), start, end)
            mended = reconciling.repairs(parts.store, broken, parts.decide, now)
            for tenant, entries in mended.items():
                post(parts, tenant, entries)
    render(Table(("tenant", "call_key", "why"), [[one.tenant, one.call_key, one.why] for one in broken]), form)
    if form is Format.TABLE:
        posted = "" if dry_run else f"; {sum(entries.height for entries in mended.values())} entries posted"
        sys.stdout.write(f"{len(broken)} calls to look at{posted}\n")
