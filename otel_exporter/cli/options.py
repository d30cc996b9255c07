"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_exporter.render import Format

if TYPE_CHECKING:
    from otel_exporter.config import Configuration, Settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="TOKENTIDE_CONFIG", help="Configuration file (YAML).")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Directory of the embedded database.  [default: tokentide-data]"),
]
ClickhouseUrl = Annotated[
    str | None,
    typer.Option("--clickhouse-url", metavar="URL", help="Use this ClickHouse server instead, http://user@host:8123."),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print.")]


def configured(
    config: Path | None,
    data_dir: Path | None = None,
    clickhouse_url: str | None = None,
    *flags: tuple[str, str, Any],
) -> Configuration:
    """The configuration a command works with. ``flags``: option, dotted path, value (None: not given).

    Raises:
        ConfigFaults: with every fault of file, environment and flags.
    """
    from otel_exporter.config import Flag, load

    shared = (("--data-dir", "store.data_dir", data_dir), ("--clickhouse-url", "store.clickhouse_url", clickhouse_url))
    return load(config, os.environ, [Flag(*flag) for flag in (*shared, *flags)])


def settings_for(config: Path | None, data_dir: Path | None, clickhouse_url: str | None) -> Settings:
    """The settings of a command that only reads or writes data."""
    return configured(config, data_dir, clickhouse_url).settings
