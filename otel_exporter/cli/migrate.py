"""`tokentide migrate`: the tables, as numbered migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, Table, render

if TYPE_CHECKING:
    from clickhouse_schema.runner import Migration

app = typer.Typer(name="migrate", help="Create and change the tables.", no_args_is_help=True)


@app.command()
def status(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """List every migration and whether it is applied."""
    from clickhouse_schema import runner
    from otel_exporter.asking import opened

    with opened(settings_for(config, data_dir, clickhouse_url)) as store:
        states = runner.status(store)
    rows = [[known.migration.number, known.migration.name, known.state, known.applied_at] for known in states]
    render(Table(("number", "name", "state", "applied_at"), rows), form)


@app.command()
def plan(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """List what apply would run."""
    from clickhouse_schema import runner
    from otel_exporter.asking import opened

    with opened(settings_for(config, data_dir, clickhouse_url), create=True) as store:
        render(_table(runner.plan(store)), form)


@app.command()
def apply(config: ConfigFile = None, data_dir: DataDir = None, clickhouse_url: ClickhouseUrl = None) -> None:
    """Bring the tables up to date, and keep their rows as long as the configuration says.

    serve and ingest do this by themselves when they start.
    """
    from clickhouse_schema import retention, runner
    from otel_exporter.asking import opened

    settings = settings_for(config, data_dir, clickhouse_url)
    with opened(settings, create=True) as store:
        done = runner.apply(store)
        changed = retention.keep(store, dict(settings.retention))
    typer.echo(f"{len(done)} migrations applied" if done else "nothing to do: the tables are up to date")
    if changed:
        typer.echo(f"retention changed: {', '.join(changed)}")


@app.command()
def distributed(
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME", help="The shards, as that server calls them.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
) -> None:
    """Print the SQL that makes a ClickHouse server without data answer for every shard of a cluster.

    Ask it of a shard; run it on the server that dashboards and rules are to ask (deploy/README.md).
    """
    from clickhouse_schema import runner
    from clickhouse_schema.cluster import COLUMNS_OF
    from clickhouse_schema.cluster import distributed as statements
    from clickhouse_schema.tables import DATABASE
    from otel_exporter.asking import opened
    from otel_exporter.failures import Reason, Refused

    with opened(settings_for(config, data_dir, clickhouse_url)) as store:
        if runner.plan(store):
            raise Refused(Reason.MALFORMED, "the tables are not up to date: run `tokentide migrate apply` first")
        columns = list(store.arrow(COLUMNS_OF, {"database": DATABASE}).iter_rows())
    try:
        text = [f"{each};" for each in statements(cluster, (m.statement for m in runner.migrations()), columns)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--cluster") from None
    typer.echo("\n".join(text))


def _table(migrations: list[Migration]) -> Table:
    rows = [[known.number, known.name, known.rewrites_data, known.why] for known in migrations]
    return Table(("number", "name", "rewrites_data", "why"), rows)
