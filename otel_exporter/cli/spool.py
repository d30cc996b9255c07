"""`tokentide spool`: what is acknowledged and not yet in ClickHouse, and what ClickHouse would not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, Table, render

if TYPE_CHECKING:
    from otel_exporter.segment import Segment

app = typer.Typer(name="spool", help="Look at the spool and the dead letters.", no_args_is_help=True)


@app.command()
def status(config: ConfigFile = None, data_dir: DataDir = None, form: OutputFormat = Format.TABLE) -> None:
    """List what waits for ClickHouse, and dead letters.

    Works while a serve is running.
    """
    from otel_exporter.spool import survey

    directory = settings_for(config, data_dir, None).store.data_dir / "spool"
    rows = [*map(_waiting, survey(directory)), *_dead(directory / "dead-letter")]
    render(Table(("kind", "name", "since", "tenant", "rows", "bytes", "why"), rows), form)


@app.command()
def replay(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    dead_letters: Annotated[bool, typer.Option("--dead-letters", help="Offer the dead letters again, too.")] = False,
) -> None:
    """Write what waits into ClickHouse now.

    A running serve does this by itself.
    """
    from otel_exporter import runfile
    from otel_exporter.failures import Reason, Refused

    settings = settings_for(config, data_dir, clickhouse_url)
    if runfile.find(settings.store.data_dir):
        raise Refused(Reason.STORE, f"a serve is running on {settings.store.data_dir} and replays by itself")

    from otel_exporter.ingest import replay_spool

    counts = replay_spool(settings, dead_letters=dead_letters)
    typer.echo(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in asdict(counts).items()))


def _waiting(segment: Segment) -> list[Any]:
    return ["waiting", segment.id, _moment(segment.created_at), segment.tenant, segment.rows, segment.bytes, None]


def _dead(directory: Path) -> Iterator[list[Any]]:
    """Read beside a running serve: nothing is locked, nothing is tidied."""
    for beside in sorted(directory.glob("*.error.json")):
        said = json.loads(beside.read_bytes())
        letter = beside.with_name(beside.name.removesuffix(".error.json"))
        if letter.exists():
            yield [
                "dead",
                letter.name,
                _moment(said["at"]),
                said.get("tenant") or None,
                said["rows"],
                letter.stat().st_size,
                said["error"],
            ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
