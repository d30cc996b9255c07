"""`tokentide import`: what another system has recorded, into the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, settings_for

if TYPE_CHECKING:
    from otel_exporter.imports.litellm import Importer

app = typer.Typer(name="import", help="Bring in what another system has recorded.", no_args_is_help=True)
Url = Annotated[str, typer.Option("--url", metavar="URL", help="The LiteLLM proxy, http://host:4000.")]
KeyFile = Annotated[
    Path, typer.Option("--key-file", metavar="FILE", help="File holding the master key, or a proxy admin's.")
]
PerSecond = Annotated[
    float, typer.Option("--requests-per-second", min=0.1, max=1000, help="Most requests a second to the proxy.")
]


@app.callback()
def root() -> None:
    """Bring in what another system has recorded."""


@app.command()
def litellm(  # noqa: PLR0913, PLR0917 - one parameter an option
    url: Url,
    key_file: KeyFile,
    since: Annotated[str, typer.Option(help="How far back: 90d, 12h, or a date such as 2026-01-31 (UTC).")] = "90d",
    watch: Annotated[bool, typer.Option("--watch", help="Keep on reading what is new until interrupted.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks with --watch.")] = 60,
    again: Annotated[bool, typer.Option("--again", help="Read everything again; no call is counted twice.")] = False,
    requests_per_second: PerSecond = 5,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
) -> None:
    """Import a LiteLLM proxy's books over its API: names, limits, model prices, and every row of its spend logs.

    A call that came as a span, too, stays one call. An import that is interrupted goes on where it was when the command
    is run again. While a serve owns the directory, it goes through it. Prompts and answers are never read.
    """
    from otel_exporter import logs
    from otel_exporter.failures import RetryLater
    from otel_exporter.imports import door
    from otel_exporter.imports.litellm import Importer
    from otel_exporter.imports.progress import Progress
    from otel_exporter.litellm_api.client import LiteLLM, read_key
    from otel_exporter.report import since as moment

    settings = settings_for(config, data_dir, clickhouse_url)
    logs.configure("warning", settings.log.format)
    begin = moment(since, datetime.now(UTC))
    proxy = LiteLLM(url, read_key(key_file), per_second=requests_per_second)
    progress = Progress(settings.store.data_dir, proxy.url, settings.ingest.tenant)
    if again:
        progress.forget()
    with door.opened(settings) as opened:
        importer = Importer(proxy, opened, progress, settings.store.data_dir)
        _once(importer, begin)
        while watch:
            time.sleep(every)
            try:
                _once(importer, begin)
            except RetryLater as failure:  # a proxy that is restarted comes back
                typer.echo(str(failure), err=True)


def _once(importer: Importer, since: datetime) -> None:
    named = importer.bring_names()
    for what in named.unread:
        typer.echo(f"the proxy does not give its {what} to this key", err=True)
    with _progress((datetime.now(UTC) - since).total_seconds()) as advance:
        brought = importer.bring_rows(since, advance)
    typer.echo(f"{brought.rows} rows in {brought.windows} windows, {named.names} names, {named.limits} limits")


@contextmanager
def _progress(total: float) -> Iterator[Callable[[float], None]]:
    """A bar of time on standard error, when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("importing", BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
