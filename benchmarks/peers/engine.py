"""The engine behind our ClickHouse HTTP interface, in a process of its own, for peers to write into.

``python -m benchmarks.peers.engine DIRECTORY ours|collector`` prints its address, then serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import resources
from pathlib import Path
from typing import Final

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.endpoint.choices import Bounds
from otel_exporter.endpoint.door import ClickHouseDoor
from otel_exporter.endpoint.engine import Engine
from otel_exporter.endpoint.request import Sizes
from otel_exporter.endpoint.users import User, Users

USER: Final = "peer"
PASSWORD: Final = "peer-password"
_MIB: Final = 1 << 20
#: Wide: this measures writing, not the bounds.
_BOUNDS: Final = Bounds(seconds=600, memory=4096 * _MIB, result_bytes=256 * _MIB)
_SIZES: Final = Sizes(256 * _MIB, 1024 * _MIB, 2048 * _MIB)
_TRACES: Final = ("otel_traces_trace_id_ts_mv", "otel_traces_trace_id_ts", "otel_traces")


def main() -> None:
    """Make the tables and serve."""
    directory, tables = Path(sys.argv[1]), sys.argv[2]
    with Store.embedded(directory) as store:
        runner.apply(store)
        if tables == "collector":
            _replace_tables(store)
        asyncio.run(_serve(store))


def _replace_tables(store: Store) -> None:
    """The Collector's traces tables instead of ours."""
    for name in _TRACES:
        store.command(f"DROP TABLE otel.{name} SYNC")
    lines = resources.files("benchmarks.peers").joinpath("tables.sql").read_text(encoding="utf-8").splitlines()
    for statement in "\n".join(line for line in lines if not line.startswith("--")).split(";"):
        if statement.strip():
            store.command(statement)


async def _serve(store: Store) -> None:
    users = Users((User(USER, PASSWORD, "ingest"),))
    door = ClickHouseDoor("127.0.0.1", 0, Engine(store, _BOUNDS), _BOUNDS, users, _SIZES)
    print(await door.open(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
