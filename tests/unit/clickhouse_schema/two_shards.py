"""One chDB as a cluster of two shards and the server in front of them, in a process of its own.

A process reads one configuration and opens one path, so this cannot be a fixture. Both shards are the same database,
called `shard` here because the one in front has to be called `otel`.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import chdb

from clickhouse_schema import cluster
from clickhouse_schema.runner import migrations
from grafana import generate
from grafana.macros import ALL, Window, expand

ENTRIES = """
INSERT INTO shard.genai_ledger (tenant, call_key, version, sign, started_at, ended_at, status, model, team, cost_usd)
SELECT 't', toString(number), number, 1, now64(9) - number, now64(9), 'ok', 'm', 'a', 0.5 FROM numbers({calls})
"""
_STRETCH = "(since = '2026-01-01 00:00:00', until = '2026-01-02 00:00:00')"


def main(folder: Path, calls: int) -> None:
    """Print what can be read from the server in front, as JSON."""
    engine = chdb.connect(f"{folder / 'data'}?config-file={folder / 'config.xml'}")

    def ask(sql: str) -> Any:
        return json.loads(engine.query(sql, "JSONCompact").bytes())["data"]

    statements = [migration.statement for migration in migrations()]
    for statement in statements:
        engine.query(statement.replace("otel.", "shard.").replace("EXISTS otel", "EXISTS shard"))
    engine.query(ENTRIES.format(calls=calls))
    columns = ask(cluster.COLUMNS_OF.replace("{database:String}", "'shard'"))
    for statement in cluster.distributed("twice", statements, columns, "shard"):
        engine.query(statement)
    engine.query("SET distributed_product_mode = 'local', output_format_json_quote_64bit_integers = 0")
    asked = _panels()
    names = cluster.readable(statements)
    print(
        json.dumps(
            {
                "read": [name for name in names if ask(f"SELECT count() FROM otel.{name}{_given(name)}")],
                "calls": ask("SELECT count() FROM otel.genai_calls")[0][0],
                "rolled_up": ask("SELECT sum(calls) FROM otel.genai_rollup_hour")[0][0],
                "panels": len(asked),
                "failed": {name: failure for name, sql in asked.items() if (failure := _failure(engine, sql))},
            }
        )
    )


def _given(name: str) -> str:
    return {
        "otel_traces_with_content": "(trace_id = 'x')",
        "otel_logs_with_content": _STRETCH,
        "genai_counted": _STRETCH,
        "genai_completeness": _STRETCH,
        "genai_silence": "(now = '2026-01-02')",
    }.get(name, "")


def _failure(engine: Any, sql: str) -> str:
    try:
        engine.query(sql)
    except Exception as error:  # the engine has one kind
        return str(error)[:300]
    return ""


def _panels() -> dict[str, str]:
    """Every query of every dashboard, its variables at what they open with."""
    end = datetime.now(UTC)
    window = Window(end - timedelta(days=2), end, 3600)
    found = {}
    for name in generate.NAMES:
        board = json.loads((generate.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        choice = {v["name"]: ALL if v.get("includeAll") else _opens_with(v) for v in board["templating"]["list"]}
        for panel in board["panels"]:
            for number, target in enumerate(panel.get("targets", ())):
                found[f"{name}/{panel['title']}/{number}"] = expand(target["rawSql"], window, choice)
    return found


def _opens_with(variable: dict[str, Any]) -> str:
    return str(variable.get("current", {}).get("value") or "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
