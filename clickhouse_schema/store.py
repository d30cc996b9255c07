"""The store: ClickHouse in this process (chDB) or a ClickHouse server, behind one face.

This and `handle` are the only modules that make a ClickHouse client. chDB's hazards decide how it talks: rows never
travel inside SQL text (inline data is cut at the first blank line and the rest would run as SQL), values are bound on
the server side, and one handle serves one call at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from queue import Empty, Full, LifoQueue
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import polars as pl
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from clickhouse_connect.driver.external import ExternalData

from clickhouse_schema import lookup, probe, results
from clickhouse_schema.cluster import replicated
from clickhouse_schema.errors import StoreError, StoreLocked, StoreRejected, StoreUnavailable, from_code
from clickhouse_schema.handle import Handle
from clickhouse_schema.lock import DirectoryLock
from clickhouse_schema.tables import DATABASE, INSERTED

#: Idle handles kept for the next call; opening one costs about 10 ms (it asks for the settings).
IDLE_HANDLES: Final = 8
#: Moments without a time zone are UTC wherever this runs.
SESSION: Final = {"session_timezone": "UTC"}
_UNKNOWN_TABLE: Final = 60
_WHOLE_FILE: Final = str(1 << 40)
#: One file is one block is one part, in the table and in every view of it. Squashing up to a bound that no file reaches
#: joins an Arrow file's record batches, and the hundreds of small blocks in which a view's GROUP BY comes out; switched
#: off (0), each of them became a part of its own (measured: 1,800 parts and 177 s for 900,000 spans).
ONE_BLOCK: Final = {
    "async_insert": "0",
    "max_insert_threads": "1",
    "min_insert_block_size_rows": _WHOLE_FILE,
    "min_insert_block_size_bytes": _WHOLE_FILE,
    "min_insert_block_size_rows_for_materialized_views": _WHOLE_FILE,
    "min_insert_block_size_bytes_for_materialized_views": _WHOLE_FILE,
    "max_insert_block_size": "100000000",
    "input_format_parallel_parsing": "0",
}


class Store:
    """ClickHouse, ours alone when embedded. Every method may be called from any thread.

    Every method raises `StoreUnavailable` (ask again later) or `StoreRejected` (never ask this again).
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        embedded: bool,
        path: str = ":memory:",
        release: Callable[[], None] = lambda: None,
        cluster: str | None = None,
        connected: bool = True,
    ) -> None:
        self._connect = connect
        self._cluster = cluster
        self._path = path
        self._release = release
        self._idle: LifoQueue[Any] = LifoQueue(maxsize=IDLE_HANDLES)
        self._closed = False
        self.is_embedded = embedded
        if connected:
            with _translated():
                self._put_back(self._connect())

    @classmethod
    def embedded(cls, data_dir: Path, *, memory_bytes: int | None = None) -> Store:
        """ClickHouse in this process, its files in ``<data_dir>/clickhouse``, guarded by ``<data_dir>/lock``.

        A process can have one embedded store open at a time. ``memory_bytes`` bounds what ClickHouse may hold
        (default: half of the machine's memory).

        Raises:
            StoreLocked: the directory is in use.
            ValueError: the directory's name has a question mark (chDB would read options there).
        """
        if "?" in str(data_dir.resolve()):
            raise ValueError(f"a data directory cannot have a question mark in its name: {data_dir}")
        lock = DirectoryLock(data_dir)
        path = str((data_dir / "clickhouse").resolve())
        bound = memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        options = {"max_server_memory_usage": bound, "mark_cache_size": min(bound // 8, 1 << 28)}

        def connect() -> Any:
            return clickhouse_connect.get_client(interface="chdb", path=path, chdb_options=options, settings=SESSION)

        try:
            return cls(connect, embedded=True, path=path, release=lock.release)
        except BaseException as error:
            lock.release()
            if isinstance(error, StoreError) and "already initialized with path" in error.detail:
                raise StoreLocked(f"{data_dir} has to wait: this process has another data directory open") from None
            raise

    @classmethod
    def memory(cls) -> Store:
        """ClickHouse in this process without files: reads OTLP for a service whose data are on a server."""
        return cls(lambda: clickhouse_connect.get_client(interface="chdb", path=":memory:"), embedded=True)

    @classmethod
    def server(cls, url: str, cluster: str | None = None, *, connected: bool = True) -> Store:
        """A ClickHouse server's HTTP interface: ``http[s]://[user[:password]@]host[:port]``.

        ``cluster`` names the replicas of its shard in ClickHouse's configuration: tables are made on all of them.
        Unless it shall be ``connected`` from the beginning, the server is first asked when it is needed.

        Raises:
            ValueError: the URL is not of this form; the message does not repeat it (it may hold a password).
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("a ClickHouse URL looks like http[s]://[user[:password]@]host[:port]")
        arguments = {
            "interface": parts.scheme,
            "host": parts.hostname,
            "port": parts.port or (8443 if parts.scheme == "https" else 8123),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "autogenerate_session_id": False,
            "settings": SESSION | {"wait_end_of_query": "1"},
        }
        return cls(
            lambda: clickhouse_connect.get_client(**arguments), embedded=False, cluster=cluster, connected=connected
        )

    def arrow(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The rows of a query. ``{name:Type}`` in the SQL is bound by ClickHouse to ``parameters[name]``."""
        return results.frame(self.raw(sql, "Arrow", parameters), lambda: self._types(sql, parameters))

    def arrow_given(self, sql: str, given: pl.DataFrame, parameters: Mapping[str, object]) -> pl.DataFrame:
        """The rows of a query that reads ``given``, a frame of texts, wherever its SQL says ``$given``.

        Unlike `arrow` it does not ask for the types: cast what Arrow cannot say (Enum, DateTime) in the SQL.
        """
        structure = ", ".join(f"{name} String" for name in given.columns)
        with _in_memory(given) as file, self._handle() as client:
            if self.is_embedded:
                source = f"file('/proc/self/fd/{file.fileno()}', Arrow, '{structure}')"
                answer = client.raw_query(sql.replace("$given", source), parameters=_bound(parameters), fmt="Arrow")
            else:
                table = ExternalData(data=file.read(), file_name="given", fmt="Arrow", structure=structure)
                sql = sql.replace("$given", "given")
                answer = client.raw_query(sql, parameters=_bound(parameters), fmt="Arrow", external_data=table)
        return results.frame(bytes(answer), dict)

    def arrow_bytes(self, sql: str) -> bytes:
        """A query's Arrow file, untouched, for readers that know their columns."""
        return self.raw(sql, "Arrow")

    def raw(self, sql: str, fmt: str, parameters: Mapping[str, object] | None = None) -> bytes:
        """A query's result in a ClickHouse format; nothing for statements without one."""
        with self._handle() as client:
            return bytes(client.raw_query(sql, parameters=_bound(parameters), fmt=fmt))

    def command(self, sql: str, parameters: Mapping[str, object] | None = None) -> str:
        """Run a statement; the one value it answers (a number, a word) as text, '' when it has none.

        Text of any kind is better asked for with `arrow`: here it comes escaped.
        """
        with self._handle() as client:
            answer = client.command(sql, parameters=_bound(parameters))
        return answer if isinstance(answer, str) else str(answer) if isinstance(answer, int) else ""

    def define(self, statement: str) -> None:
        """Run a statement that makes or changes a table, view or function: on every replica, where there are some."""
        self.command(replicated(statement, self._cluster) if self._cluster else statement)

    def catch_up(self) -> None:
        """Wait until this replica has what others were given: what is not here would be posted a second time."""
        if self._cluster:
            self.command(f"SYSTEM SYNC REPLICA {DATABASE}.genai_ledger")

    def insert_file(self, table: str, path: Path, token: str) -> None:
        """Insert one Arrow file as one block, once: the same file under the same token adds nothing.

        Repeating an insert of which nobody knows whether it happened is therefore safe, and also completes
        materialized views that a crash left behind.

        Args:
            table: a name of `tables.INSERTED`; the file's columns must be that table's.
            path: an Arrow IPC *file* (not stream).
            token: names this block for ever (``batch/table/part``).
        """
        self._insert(table, table, path, ONE_BLOCK | {"insert_deduplication_token": token, "insert_deduplicate": "1"})

    def refuses(self, table: str, path: Path) -> bool:
        """Whether ``table`` itself, without the views it feeds, refuses this file: then none of it was ever written.

        Asked where others write to the same table: an empty copy of it, made for this, is offered the file (`probe`).
        """
        copy = probe.name(table)
        self.command(f"CREATE TABLE {DATABASE}.{copy} AS {DATABASE}.{table}")
        try:
            self._insert(copy, table, path, ONE_BLOCK)
        except StoreRejected as refused:
            if refused.code == _UNKNOWN_TABLE:  # somebody has tidied the copy away: that says nothing of the file
                raise StoreUnavailable(refused.code, "a probe table was dropped by somebody else") from None
            return True
        finally:
            self.command(f"DROP TABLE IF EXISTS {DATABASE}.{copy}")
        return False

    def _insert(self, into: str, like: str, path: Path, settings: Mapping[str, str]) -> None:
        with path.open("rb") as file, self._handle() as client:
            if self.is_embedded:
                _insert_by_descriptor(client, into, INSERTED[like], file.fileno(), settings)
            else:
                name = f"{DATABASE}.{into}"
                client.raw_insert(name, INSERTED[like], insert_block=file, fmt="Arrow", settings=dict(settings))

    def ledger_entries(
        self, tenant: str, handles: Sequence[str], since: datetime | None, until: datetime | None
    ) -> pl.DataFrame:
        """Every ledger entry, reversals too, of calls that any of ``handles`` names (`contract.LEDGER_SCHEMA`).

        ``since`` and ``until`` bound the hour in which a call started (both inclusive, whole hours); None is open.
        """
        return lookup.ledger_entries(self, tenant, handles, since, until)

    def handle(self) -> Handle:
        """A raw handle on the embedded engine; the caller closes it, before this store is closed.

        Raises:
            StoreUnavailable: the store is closed.
            ValueError: the data are on a server.
        """
        if not self.is_embedded:
            raise ValueError("a ClickHouse server has no handles: ask it over HTTP")
        if self._closed:
            raise StoreUnavailable(0, "the store is closed")
        return Handle(self._path)

    def close(self) -> None:
        """Give back every handle and the directory; afterwards the store answers StoreUnavailable."""
        self._closed = True
        self._close_idle()
        self._release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_idle(self) -> None:
        while not self._idle.empty():
            with suppress(Empty):
                self._idle.get_nowait().close()

    def _types(self, sql: str, parameters: Mapping[str, object] | None) -> dict[str, str]:
        try:
            with self._handle() as client:
                described = client.query(f"DESCRIBE (\n{sql.rstrip().rstrip(';')}\n)", parameters=_bound(parameters))
        except StoreRejected:  # not a SELECT (SHOW, EXPLAIN ...): those answer in text
            return {}
        return {row[0]: row[1] for row in described.result_rows}

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        """A client for one call; several calls at once get one each."""
        with _translated():
            client = self._take()
            try:
                _choose_database(client)
                yield client
            except BaseException:
                # chDB keeps what a failed query had already produced, and puts it before the handle's next answer.
                client.close()
                raise
            self._put_back(client)

    def _take(self) -> Any:
        if self._closed:
            raise StoreUnavailable(0, "the store is closed")
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._connect()

    def _put_back(self, client: Any) -> None:
        try:
            self._idle.put_nowait(client)
        except Full:
            client.close()
        if self._closed:
            self._close_idle()


@contextmanager
def _in_memory(frame: pl.DataFrame) -> Iterator[BinaryIO]:
    """A frame as an Arrow file that never touches a disk."""
    with os.fdopen(os.memfd_create("given"), "w+b") as file:
        frame.write_ipc(file)
        file.seek(0)
        yield file


def _choose_database(client: Any) -> None:
    """Unqualified names mean our database, as soon as a migration has made it."""
    if client.database != DATABASE and client.command(f"EXISTS DATABASE {DATABASE}") == 1:
        client.database = DATABASE


def _insert_by_descriptor(
    client: Any, table: str, names: Sequence[str], descriptor: int, settings: Mapping[str, str]
) -> None:
    """INFILE reads globs, so a directory called `a{b}` would be misread: the open file's own name has none of these."""
    columns = ", ".join(f"`{column}`" for column in names)
    clause = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
    source = f"/proc/self/fd/{descriptor}"
    client.command(f"INSERT INTO {DATABASE}.{table} ({columns}) FROM INFILE '{source}' SETTINGS {clause} FORMAT Arrow")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _bound(parameters: Mapping[str, object] | None) -> dict[str, object] | None:
    return dict(parameters) if parameters else None


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's failures in our words; the originals quote SQL and values, so they are not chained."""
    try:
        yield
    except Error as error:
        raise from_code(error.code, error.name, str(error)) from None
    except (ClickHouseError, OSError) as error:
        raise StoreUnavailable(0, "ClickHouse cannot be reached", str(error)) from None
