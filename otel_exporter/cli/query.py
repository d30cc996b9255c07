"""`tokentide query`: one read-only question in SQL."""

from __future__ import annotations

from typing import Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, render


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT (or SHOW, DESCRIBE, EXPLAIN). Tables are those of `otel`.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Ask the data a question in SQL, read-only.

    For example: tokentide query "SELECT model, sum(cost_usd) FROM genai_calls GROUP BY model"
    """
    from otel_exporter.asking import asking, table

    with asking(settings_for(config, data_dir, clickhouse_url)) as ask:
        answer = table(ask, sql)
    render(answer, form)
