"""`tokentide forecast`: what usage will be, how sure that is, and a picture of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, configured
from otel_exporter.render import Format, render

if TYPE_CHECKING:
    from otel_exporter.config import Settings

app = typer.Typer(name="forecast", help="Foresee spend and usage.", no_args_is_help=True)

Axis = Annotated[str, typer.Option(help="Forecast apart by: total, tenant, team, user_id, api_key_alias, model, ...")]
Metric = Annotated[str, typer.Option(help="What: cost_usd, calls, input_tokens, output_tokens, ...")]
Frequency = Annotated[str, typer.Option("--freq", help="Step: hour or day.")]
Country = Annotated[str | None, typer.Option(help="Country whose holidays matter, as in ISO 3166: DE.")]


@app.command()
def run(  # noqa: PLR0913, PLR0917 - options of a command
    axis: Axis = "total",
    metric: Metric = "cost_usd",
    freq: Frequency = "day",
    horizon: Annotated[int, typer.Option(min=0, help="Steps ahead.  [default: 168 hours, 35 days]")] = 0,
    country: Country = None,
    prophet: Annotated[
        int | None, typer.Option(min=0, help="Prophet takes part for so many of the largest series.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Series at most, the largest first.")] = 1000,
    workers: Annotated[int, typer.Option(min=0, help="Processes.  [default: one per core]")] = 0,
    as_of: Annotated[str, typer.Option(help="Forecast from that moment, knowing nothing later.  [default: now]")] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Forecast every series of an axis and store it in genai_forecast.

    Each series is tested on its own past: the error and the coverage beside a forecast are measured there. Running
    again from the same moment goes on where a run was cut. Stop serve first: only one process may write.
    """
    from otel_exporter import forecasts

    flags = (("--country", "forecast.country", country), ("--prophet", "forecast.prophet_series", prophet))
    settings = configured(config, data_dir, clickhouse_url, *flags).settings
    wanted = forecasts.Wanted(axis, metric, freq, horizon, most, workers, _moment(as_of))
    with _progress() as progress:
        answer = forecasts.run(settings, wanted, progress)
    render(answer.table, form)
    if form is Format.TABLE:
        sys.stdout.write(answer.sentence)


@app.command()
def show(  # noqa: PLR0913, PLR0917 - options of a command
    value: Annotated[str, typer.Argument(help="Which team, user, model ... of the axis; none for total.")] = "",
    axis: Axis = "total",
    metric: Metric = "cost_usd",
    freq: Frequency = "day",
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw to this PNG file.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write this HTML page.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
) -> None:
    """Draw the newest forecast of a series with its history and interval, in the terminal or to a file.

    Works while a serve is running.
    """
    from otel_exporter import forecasts

    settings: Settings = configured(config, data_dir, clickhouse_url).settings
    view = forecasts.view(settings, forecasts.Shown(tenant, axis, value, metric, freq))
    if png or html:
        for path in forecasts.draw(view, png, html):
            typer.echo(path)
    else:
        from rich.console import Console

        console = Console()
        from forecasting.picture import text

        sys.stdout.write(text(view, console.width if console.is_terminal else 100))


def _moment(text: str) -> datetime:
    from otel_exporter import report

    now = datetime.now(UTC)
    return report.since(text, now) if text else now


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar of series on standard error, when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("forecasting", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
