"""The same migrations on more than one ClickHouse server.

Two independent steps, each a translation of text:

- **Replicas of a shard** (`replicated`): the migrations' statements run `ON CLUSTER` with Replicated engines, so that
  every replica has every row. Writing and looking up go to one replica at a time.
- **Several shards** (`distributed`): a ClickHouse server of its own, that holds no data, has a Distributed table under
  the name of every table and view of the shards. Dashboards, rules and commands ask it and need no other names.

A tenant's calls must all be on one shard: a call is the join of its observations, and a view folds it where it lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from clickhouse_schema.tables import DATABASE

_NAMED: Final = re.compile(
    r"CREATE (?:OR REPLACE )?(?:DATABASE|TABLE|VIEW|MATERIALIZED VIEW|FUNCTION)(?: IF NOT EXISTS)? [\w.]+"
    r"|ALTER TABLE [\w.]+"
)
_ENGINE: Final = re.compile(r"\bENGINE = (\w*MergeTree)\b")
_WINDOW: Final = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")
_READ: Final = re.compile(rf"CREATE (?:TABLE|VIEW) IF NOT EXISTS {DATABASE}\.(\w+)")
#: A view with a parameter has no columns before it is asked; it is the same view there, over the tables of this name.
_PARAMETER: Final = re.compile(r"\{\w+:\w+")
_FUNCTION: Final = "CREATE OR REPLACE FUNCTION"
#: How long a replicated table remembers an insert's token. ClickHouse's hour is shorter than an outage, after which
#: the batch in doubt is inserted again and must not count twice.
REMEMBERED_SECONDS: Final = 14 * 24 * 3600
#: A cluster's name as ClickHouse's configuration can write it, without anything that SQL would read otherwise.
NAME: Final = re.compile(r"[A-Za-z_][\w.-]*")


def replicated(statement: str, cluster: str) -> str:
    """A statement of a migration or of `retention`, for every replica of ``cluster``.

    Statements that move rows (`INSERT`) are returned as they are: replication carries what they write.

    Raises:
        ValueError: a statement of a kind this does not know, or a name that is none.
    """
    _require_name(cluster)
    if statement.startswith("INSERT "):
        return statement
    named = _NAMED.match(statement)
    if not named:
        raise ValueError(f"cannot run on a cluster: {statement[:40]!r}")
    rest = _ENGINE.sub(r"ENGINE = Replicated\1", statement[named.end() :])
    kept = rf"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = {REMEMBERED_SECONDS}"
    return f"{named[0]} ON CLUSTER '{cluster}'{_WINDOW.sub(kept, rest)}"


#: Name and type of every column of a shard, for `distributed`.
COLUMNS_OF: Final = "SELECT table, name, type FROM system.columns WHERE database = {database:String} ORDER BY position"


def distributed(
    cluster: str,
    statements: Iterable[str],
    columns: Iterable[tuple[str, str, str]],
    shard_database: str = DATABASE,
) -> Iterator[str]:
    """The statements that make a server without data answer for every shard of ``cluster``.

    Args:
        cluster: its name in that server's configuration.
        statements: the migrations' (`runner.migrations`), in order.
        columns: table, name and type of every column of a shard, in order (`COLUMNS_OF`).
        shard_database: where a shard has its tables.
    """
    _require_name(cluster)
    described: dict[str, list[str]] = {}
    for table, name, kind in columns:
        described.setdefault(table, []).append(f"    `{name}` {kind}")
    yield f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic"
    verbatim, tables = [], []
    for statement in statements:
        if statement.startswith(_FUNCTION) or (_READ.match(statement) and _PARAMETER.search(statement)):
            verbatim.append(statement)
        elif found := _READ.match(statement):
            tables.append(found[1])
    for table in tables:
        lines = ",\n".join(described[table])
        engine = f"ENGINE = Distributed('{cluster}', '{shard_database}', '{table}')"
        yield f"CREATE TABLE IF NOT EXISTS {DATABASE}.{table}\n(\n{lines}\n)\n{engine}"
    yield from verbatim


def readable(statements: Iterable[str]) -> list[str]:
    """Every table and view of a shard that has something to read, in the order they are made."""
    found = (_READ.match(statement) for statement in statements)
    return [name[1] for name in found if name]


def _require_name(cluster: str) -> None:
    if not NAME.fullmatch(cluster):
        raise ValueError(f"{cluster!r} is not the name of a cluster")
