"""`tokentide doctor`: does it arrive, from whom, what is lost, and what mends it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format

if TYPE_CHECKING:
    from otel_exporter.asking import Ask
    from otel_exporter.config import Settings
    from otel_exporter.doctor import Probe


def doctor(
    since: Annotated[str, typer.Option(help="How far back: 90m, 12h, 30d, 4w, or a date.")] = "1h",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Say what arrives, from whom, what it loses, and the change that mends it.

    While a serve runs, a probe span goes through the whole path first; the exit code is 1 when it does not arrive.
    """
    from otel_exporter.asking import asking
    from otel_exporter.doctor import examine, show
    from otel_exporter.report import since as moment

    settings = settings_for(config, data_dir, clickhouse_url)
    start = moment(since, datetime.now(UTC))
    with asking(settings) as ask:
        probe = _probed(settings, ask)
        show(probe, examine(ask, start), form, sys.stdout)
    if not probe.is_well:
        raise typer.Exit(1)


def _probed(settings: Settings, ask: Ask) -> Probe:
    """Send a probe to the serve of the data directory, unless the questions go to another store than it writes."""
    from otel_exporter import runfile
    from otel_exporter.doctor import Probe, send_probe

    store = settings.store
    writes_elsewhere = bool(store.server) and (store.data_dir / "clickhouse").is_dir()
    running = None if writes_elsewhere else runfile.find(store.data_dir)
    return send_probe(running, ask) if running else Probe()
