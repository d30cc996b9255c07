"""`tokentide anomalies`: what was out of the ordinary, and who caused it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, render


def anomalies(
    since: Annotated[str, typer.Option(help="How far back: 90m, 12h, 30d, 4w, or a date.")] = "7d",
    detect: Annotated[
        bool, typer.Option("--detect", help="Look for incidents now, over that time. Stop serve first.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """List incidents with what was expected and who caused them, newest first."""
    from otel_exporter import anomalies as incidents
    from otel_exporter import report

    now = datetime.now(UTC)
    start = report.since(since, now)
    settings = settings_for(config, data_dir, clickhouse_url)
    sentence = incidents.detect(settings, start, now) if detect else ""
    listed = incidents.listed(settings, start)
    if form is Format.TABLE:
        if listed.rows:
            render(incidents.brief(listed), form)
        sys.stdout.write(sentence or ("" if listed.rows else "no incidents in this time\n"))
    else:
        render(listed, form)
