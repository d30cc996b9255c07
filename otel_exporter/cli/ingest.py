"""`tokentide ingest`: OTLP files into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, settings_for

if TYPE_CHECKING:
    from otel_exporter.config import Settings
    from otel_exporter.runfile import Running


def ingest(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or directories of files.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
) -> None:
    """Store OTLP files.

    While a serve owns the directory, they are sent to it.

    Raw Export*ServiceRequest protobuf (*.traces.pb, *.logs.pb, *.metrics.pb), OTLP JSON, or JSON lines as the
    Collector's file exporter writes them; any of them compressed as *.gz.
    """
    from otel_exporter import otlp_files, runfile

    settings = settings_for(config, data_dir, clickhouse_url)
    files = otlp_files.find(paths)
    running = runfile.find(settings.store.data_dir)
    with _progress(otlp_files.size(files)) as progress:
        counts = _send(settings, running, files, progress) if running else _store(settings, files, progress)
    typer.echo(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in asdict(counts).items()))


def _send(settings: Settings, running: Running, files: list[Path], progress: Callable[[int], None]) -> Any:
    from otel_exporter.forward import send_files

    own = settings.ingest.token.reveal() if settings.ingest.token else running.token
    return send_files(running.local_http, own, files, progress)


def _store(settings: Settings, files: list[Path], progress: Callable[[int], None]) -> Any:
    from otel_exporter import logs
    from otel_exporter.ingest import ingest_files

    logs.configure("warning", settings.log.format)
    return ingest_files(settings, files, progress)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on standard error, when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("storing", BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
