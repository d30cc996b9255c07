"""`tokentide compare`: do the books of another system agree with the ledger?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.import_ import KeyFile, PerSecond, Url
from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format

if TYPE_CHECKING:
    import polars as pl

    from otel_exporter.agreement.litellm import Agreement

app = typer.Typer(name="compare", help="Do the books of another system agree with the ledger?", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Do the books of another system agree with the ledger?"""


@app.command()
def litellm(  # noqa: PLR0913, PLR0917 - one parameter an option
    url: Url,
    key_file: KeyFile,
    since: Annotated[str, typer.Option(help="How far back: 7d, 4w, or a date; from its midnight, UTC.")] = "7d",
    tolerance: Annotated[str, typer.Option(help="Share of LiteLLM's dollars that may differ.")] = "0.5%",
    requests_per_second: PerSecond = 5,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Compare a LiteLLM proxy's spend with ours, by day, team, key and model, and say what the difference is made of.

    Exit code 0: within the tolerance; 1: not. The result is kept in genai_agreement. Run it before importing the same
    days to learn what the spans missed: an imported call is seen by both.
    """
    from otel_exporter import logs
    from otel_exporter.agreement.litellm import compare, record
    from otel_exporter.imports import door
    from otel_exporter.litellm_api.client import LiteLLM, read_key
    from otel_exporter.report import since as moment

    settings = settings_for(config, data_dir, clickhouse_url)
    logs.configure("warning", settings.log.format)
    most, now = share(tolerance), datetime.now(UTC)
    proxy = LiteLLM(url, read_key(key_file), per_second=requests_per_second)
    with door.opened(settings) as opened:
        agreement = compare(proxy, opened, settings.ingest.tenant, moment(since, now), now)
        record(opened, agreement, now)
    _show(agreement, form)
    verdict = "within" if agreement.apart <= most else "beyond"
    typer.echo(f"{agreement.apart * 100:.4f}% of LiteLLM's dollars differ, {verdict} {tolerance}", err=True)
    if agreement.apart > most:
        raise typer.Exit(1)


def share(text: str) -> Decimal:
    """``0.5%`` as 0.005. Raises BadParameter."""
    try:
        number = Decimal(text.removesuffix("%"))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number < 0:
        raise typer.BadParameter("must be a share such as 0.5% or 0.005", param_hint="--tolerance")
    return number / 100 if text.endswith("%") else number


def _show(agreement: Agreement, form: Format) -> None:
    import polars as pl

    from otel_exporter.agreement.difference import DIMENSIONS, whole
    from otel_exporter.render import Table, render

    cells = agreement.cells
    if form is not Format.TABLE:
        render(Table(tuple(cells.columns), cells.rows()), form, sys.stdout)
        return
    for dimension in DIMENSIONS:
        by = "day" if dimension == "total" else "member"
        summed = whole(cells.filter(cells["dimension"] == dimension), by)
        shown = _that_say_something(summed).with_columns(pl.col(pl.Datetime).dt.date())
        columns = tuple(dimension if name == "member" else name.removesuffix("_usd") for name in shown.columns)
        render(Table(columns, shown.rows(), title=f"US dollars by {columns[0]}"), form, sys.stdout)


def _that_say_something(cells: pl.DataFrame) -> pl.DataFrame:
    """Without the parts that are zero everywhere."""
    import polars as pl

    silent = [name for name in cells.columns[3:] if not cells[name].cast(pl.Boolean).any()]
    return cells.drop(silent)
