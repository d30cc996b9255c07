"""Puts the commands together, and turns every failure into a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from otel_exporter.cli import (
    advise,
    alerts,
    anomalies,
    budgets,
    close,
    compare,
    config,
    demo,
    doctor,
    explain,
    forecast,
    import_,
    ingest,
    keys,
    migrate,
    query,
    reattribute,
    reconcile,
    report,
    reprice,
    sentences,
    serve,
    spool,
)

app = typer.Typer(
    name="tokentide",
    help="Every LLM call your organisation makes, as one line in a ledger.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    serve.serve,
    demo.demo,
    ingest.ingest,
    query.query,
    report.report,
    budgets.budgets,
    anomalies.anomalies,
    close.close,
    advise.advise,
    advise.what_if,
    explain.explain,
    reprice.reprice,
    reattribute.reattribute,
    reconcile.reconcile,
    doctor.doctor,
):
    app.command()(command)
for group in (
    close.app,
    import_.app,
    compare.app,
    forecast.app,
    alerts.app,
    migrate.app,
    config.app,
    spool.app,
    keys.app,
):
    app.add_typer(group)


def main() -> None:
    """Run one command. Exit code 0: done; 1: failed; 2: wrong usage or configuration."""
    try:
        code = app(standalone_mode=False, prog_name="tokentide")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        sentence, code = sentences.explain(error)
        sys.stderr.write(f"{sentence}\n")
        if "TOKENTIDE_TRACEBACK" in os.environ:
            raise
    sys.exit(code if isinstance(code, int) else 0)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tokentide {version('tokentide')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Every LLM call your organisation makes, as one line in a ledger."""
