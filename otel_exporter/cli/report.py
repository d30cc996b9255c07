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
    as_of: Annotated[str, typer.Option(help="As the calls stood then: a date, a time, or 90m, 12h, 30d ago.")] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show spend, tokens, errors, and what has no price."""
    from otel_exporter import report as reporting
    from otel_exporter.asking import asking

    now = datetime.now(UTC)
    moment = reporting.since(as_of, now) if as_of else None
    start = reporting.since(since, moment or now)
    with asking(settings_for(config, data_dir, clickhouse_url)) as ask:
        if unpriced:
            render(reporting.answer(ask, reporting.UNPRICED_MODELS, start, moment), form)
        else:
            reporting.show(reporting.build(ask, start, moment), form, sys.stdout)
