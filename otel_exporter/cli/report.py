"""`tokentide report`: what was spent, on what, by whom."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, render


def report(
    since: Annotated[str, typer.Option(help="How far back: 90m, 12h, 30d, 4w, or a date.")] = "30d",
    unpriced: Annotated[
        bool, typer.Option("--unpriced", help="Models without a price, with calls and tokens.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show spend, tokens, errors, and what has no price."""
    from otel_exporter import report as reporting
    from otel_exporter.asking import asking

    start = reporting.since(since, datetime.now(UTC))
    with asking(settings_for(config, data_dir, clickhouse_url)) as ask:
        if unpriced:
            render(reporting.answer(ask, reporting.UNPRICED_MODELS, start), form)
        else:
            reporting.show(reporting.build(ask, start), form, sys.stdout)
