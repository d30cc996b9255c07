"""Read-only questions to wherever the data are: our own store, a server, or the `serve` that owns the directory."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_exporter import runfile
from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.guard import canonical
from otel_exporter.render import Table

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.config import Settings

#: SQL and its parameters (`{name:Type}` in the SQL) to the answer in the format `ROWS`.
Ask = Callable[[str, Mapping[str, str]], bytes]
#: The answer's format unless another is asked for: names, types, then one JSON array a row.
ROWS: Final = "JSONCompactEachRowWithNamesAndTypes"
#: For programs that want types.
PARQUET: Final = "Parquet"


class AskIn(Protocol):
    """An `Ask` that can answer in `PARQUET`, too."""

    def __call__(self, sql: str, parameters: Mapping[str, str], fmt: str = ROWS, /) -> bytes:
        """The answer."""


#: ClickHouse writes the values as we print them: exact decimals as text, times as ISO 8601 in UTC, 64 bits as numbers.
_SETTINGS: Final = {
    "readonly": "1",
    "date_time_output_format": "'iso'",
    "output_format_json_quote_decimals": "1",
    "output_format_json_quote_64bit_integers": "0",
}
#: Seconds a question may take in a `serve`, which has other things to do.
_LONGEST_SECONDS: Final = 120


@contextmanager
def asking(settings: Settings) -> Iterator[AskIn]:
    """How to ask where ``settings`` say the data are.

    Raises:
        Refused: there are no data yet.
        StoreLocked: another process that cannot be asked owns the directory.
    """
    running = None if settings.store.server else runfile.find(settings.store.data_dir)
    if running is not None:
        yield live(running)
        return
    with opened(settings) as store:
        yield direct(store)


@contextmanager
def opened(settings: Settings, *, create: bool = False, connected: bool = True) -> Iterator[Store]:
    """The store itself; ``create`` makes an embedded database that is not there yet.

    Unless it shall be ``connected``, a server is first asked when it is needed.

    Raises:
        Refused: there is no embedded database yet, and nobody said ``create``.
    """
    from clickhouse_schema.store import Store

    if settings.store.server:
        store = Store.server(settings.store.server, settings.store.clickhouse_cluster, connected=connected)
    else:
        if not create:
            _require_data(settings.store.data_dir)
        store = Store.embedded(settings.store.data_dir, memory_bytes=settings.store.max_memory)
    with closing(store):
        yield store


def _require_data(data_dir: Path) -> None:
    if not (data_dir / "clickhouse").is_dir():
        raise Refused(Reason.STORE, f"there are no data in {data_dir} yet: tokentide serve, ingest or demo brings some")


def direct(store: Store, longest_seconds: int = 0, most_rows: int = 0) -> AskIn:
    """Ask ``store``; a question that takes longer, or answers more rows, fails (0: without bound)."""
    bounds = {"max_execution_time": longest_seconds, "max_result_rows": most_rows}
    settings = _SETTINGS | {name: str(bound) for name, bound in bounds.items()} | {"result_overflow_mode": "'throw'"}
    clause = " SETTINGS " + ", ".join(f"{name} = {value}" for name, value in settings.items())

    @lru_cache(maxsize=128)  # rules ask the same question every minute
    def checked(sql: str) -> str:
        return canonical(store, sql)

    def ask(sql: str, parameters: Mapping[str, str], fmt: str = ROWS, /) -> bytes:
        from clickhouse_schema.errors import StoreError

        try:
            return store.raw(checked(sql) + clause, fmt, parameters)
        except StoreError as error:
            error.detail = error.detail.replace(clause, "")
            raise

    return ask


def bounded(store: Store) -> AskIn:
    """Ask ``store`` from inside a `serve`."""
    return direct(store, _LONGEST_SECONDS)


def live(running: runfile.Running) -> AskIn:
    """Ask a live `serve` through its health address."""

    def ask(sql: str, parameters: Mapping[str, str], fmt: str = ROWS, /) -> bytes:
        question = {"sql": sql, "parameters": dict(parameters), "format": fmt}
        return tell(running, "/api/query", question, _LONGEST_SECONDS + 10)

    return ask


def tell(running: runfile.Running, path: str, said: Mapping[str, Any], seconds: float) -> bytes:
    """What a live `serve` answers to ``said`` at ``path`` of its health address.

    Raises:
        Refused, RetryLater: what it said it cannot do.
    """
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {running.token}"}
    with closing(http.client.HTTPConnection(running.local_health, timeout=seconds)) as connection:
        connection.request("POST", path, json.dumps(said), headers)
        response = connection.getresponse()
        answer = response.read()
    if response.status != 200:
        raise _failure(response.status, answer)
    return answer


def _failure(status: int, answer: bytes) -> Refused | RetryLater:
    try:
        sentence = str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return RetryLater(Reason.STORE, f"the running serve could not answer (HTTP {status}): see its log")
    return Refused(Reason.MALFORMED, sentence)


def table(ask: Ask, sql: str, parameters: Mapping[str, str] | None = None, title: str = "") -> Table:
    """The answer to ``sql`` as a table."""
    return read(ask(sql, parameters or {}), title)


def read(answer: bytes, title: str = "") -> Table:
    """A table from an answer. A statement without columns (`EXPLAIN AST`) answers in lines of text."""
    # str.splitlines would also cut inside values, at U+0085 and the like
    lines = answer.decode(errors="replace").removesuffix("\n").split("\n")
    if not lines[0].startswith("["):
        return Table(("explain",), [[line] for line in lines], title=title)
    names, types, *rows = map(json.loads, lines)
    return Table(tuple(names), rows, tuple(types), title)
