"""`tokentide config`: is it right, what holds, what is different."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, configured
from otel_exporter.render import Format, Table, render

if TYPE_CHECKING:
    from otel_exporter.config.show import Setting

app = typer.Typer(name="config", help="Check and show the configuration.", no_args_is_help=True)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="Configuration file.", envvar="TOKENTIDE_CONFIG")] = None,
) -> None:
    """Check FILE and the TOKENTIDE_* variables.

    Prints every fault with its path and reason, and exits with 2 when there is one.
    """
    from otel_exporter.config import load

    load(file, os.environ)
    typer.echo(f"{file or 'the environment'} is valid")


@app.command()
def show(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show every setting and who said it.

    Secrets are shown as ***.
    """
    from otel_exporter.config.show import effective

    rows = effective(configured(config, data_dir, clickhouse_url))
    render(_table(rows, ("path", "value", "source")), form)


@app.command()
def diff(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show the settings that differ from the defaults."""
    from otel_exporter.config.show import differences

    rows = differences(configured(config, data_dir, clickhouse_url))
    render(_table(rows, ("path", "value", "default", "source")), form)


def _table(settings: list[Setting], columns: tuple[str, ...]) -> Table:
    return Table(columns, [[getattr(setting, column) for column in columns] for setting in settings])
