"""`tokentide close` and `tokentide statement`: close a month, and show its statement again, byte for byte."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, Table, render

app = typer.Typer(name="statement", help="Show the statements of closed months.", no_args_is_help=True)
Month = Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-11.")]


class Form(StrEnum):
    """How a statement is shown."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    FOCUS = "focus"


def close(
    month: Month,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Close it though it is not over yet.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Close a month: its statement never changes again, whatever is posted later.

    Late calls, new prices and corrections of a closed month are adjustments in the statement of the next. Closing a
    month again changes nothing. Works while a serve is running.
    """
    from otel_exporter import logs
    from otel_exporter.books import desk

    settings = settings_for(config, data_dir, clickhouse_url)
    logs.configure("warning", settings.log.format)
    said = desk.close(settings, month, unfinished=unfinished)
    if form is not Format.TABLE:
        render(Table.of([said]), form)
        return
    when = "closed" if said["new"] else "was closed before, nothing has changed"
    sys.stdout.write(
        f"{month} {when}: {said['calls']} calls, ${said['cost_usd'] or '0'}, {said['row_count']} rows, postings up to "
        f"{said['cut_at']}\nSHA-256 {said['csv_sha256']} (tokentide statement show {month} --format csv)\n"
    )


@app.command(name="list")
def listed(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """List the months that were closed."""
    from otel_exporter.asking import asking
    from otel_exporter.books import show as showing

    with asking(settings_for(config, data_dir, clickhouse_url)) as ask:
        render(showing.listed(ask), form)


@app.command()
def show(
    month: Month,
    form: Annotated[
        Form, typer.Option("--format", help="csv, parquet and focus (FOCUS 1.2 as CSV) are as they were written then.")
    ] = Form.TABLE,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
) -> None:
    """Show the statement of a closed month."""
    from otel_exporter.asking import asking
    from otel_exporter.books import show as showing

    with asking(settings_for(config, data_dir, clickhouse_url)) as ask:
        if form in (Form.TABLE, Form.JSON):
            render(showing.rows(ask, month), Format(form.value))
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(showing.document(ask, month, form.value))
