"""The ClickHouse HTTP interface over a real embedded engine, and how the tests ask it."""

from __future__ import annotations

import asyncio
import http.client
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.endpoint.choices import Bounds
from otel_exporter.endpoint.door import ClickHouseDoor
from otel_exporter.endpoint.engine import Engine
from otel_exporter.endpoint.request import Sizes
from otel_exporter.endpoint.users import User, Users

READER = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "r"}
WRITER = {"X-ClickHouse-User": "writer", "X-ClickHouse-Key": "w"}
USERS = Users((User("reader", "r"), User("writer", "w", "ingest")))
BOUNDS = Bounds(seconds=2, memory=200 << 20, result_bytes=4 << 20)


@contextmanager
def opened(data_dir: Path, users: Users = USERS) -> Iterator[str]:
    """An open door; its address."""
    with Store.embedded(data_dir, memory_bytes=1 << 30) as store:
        runner.apply(store)
        loop = asyncio.new_event_loop()
        engine = Engine(store, BOUNDS)
        door = ClickHouseDoor("127.0.0.1", 0, engine, BOUNDS, users, Sizes(16 << 20, 32 << 20, 64 << 20))
        where = loop.run_until_complete(door.open())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield where
        finally:
            asyncio.run_coroutine_threadsafe(door.close(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


def ask(
    address: str, body: bytes | str, headers: dict[str, str] = READER, **named: str
) -> tuple[int, str | None, bytes]:
    """POST; status, exception code and body."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        data = body.encode() if isinstance(body, str) else body
        connection.request("POST", "/?" + urllib.parse.urlencode(named), data, headers)
        response = connection.getresponse()
        return response.status, response.getheader("X-ClickHouse-Exception-Code"), response.read()


def request(
    address: str, method: str, path: str, headers: dict[str, str] = READER
) -> tuple[http.client.HTTPMessage, bytes]:
    """One request without a body; headers and body of the answer."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.headers, response.read()
