"""`tokentide query`: one read-only question in SQL."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, settings_for
from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Format, render


class AnswerFormat(StrEnum):
    """How an answer is printed: as data are, or with its types."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT (or SHOW, DESCRIBE, EXPLAIN). Tables are those of `otel`.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: Annotated[AnswerFormat, typer.Option("--format", help="How to print.")] = AnswerFormat.TABLE,
) -> None:
    """Ask the data a question in SQL, read-only.

    For example: tokentide query "SELECT model, sum(cost_usd) FROM genai_calls GROUP BY model"
    """
    from otel_exporter.asking import PARQUET, asking, table

    if form is AnswerFormat.PARQUET and sys.stdout.isatty():
        raise Refused(Reason.MEDIA_TYPE, "a terminal cannot show Parquet: send it to a file with > answer.parquet")
    with asking(settings_for(config, data_dir, clickhouse_url)) as ask:
        if form is AnswerFormat.PARQUET:
            sys.stdout.buffer.write(ask(sql, {}, PARQUET))
            return
        answer = table(ask, sql)
    render(answer, Format(form))
