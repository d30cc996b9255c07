"""Queries on handles of their own: bounded, read-only, and stoppable from another thread."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import chdb

from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.statements import Insert, Reading, reading

#: Settings a request may choose. None of them reaches outside the query or undoes a bound.
ALLOWED: Final = frozenset(
    {"date_time_input_format", "date_time_output_format", "cast_string_to_dynamic_use_inference", "session_timezone",
     "max_threads", "max_block_size", "join_use_nulls", "limit", "offset", "extremes", "max_rows_to_read",
     "output_format_json_quote_64bit_integers", "output_format_json_quote_decimals", "insert_deduplication_token",
     "output_format_arrow_string_as_string", "output_format_json_quote_denormals", "use_uncompressed_cache"}
)  # fmt: skip
#: Sent by ordinary clients; what they ask for is so, or makes no difference to this engine.
IGNORED: Final = frozenset({"async_insert", "wait_for_async_insert", "cancel_http_readonly_queries_on_client_close"})


@dataclass(frozen=True)
class Bounds:
    """What one query may take: seconds, bytes of memory, bytes of its answer."""

    seconds: int
    memory: int
    result_bytes: int


class Engine:
    """The embedded engine of one data directory, which a `Store` of this process holds open."""

    def __init__(self, data_dir: Path, bounds: Bounds) -> None:
        self._path = str((data_dir / "clickhouse").resolve())
        self._bounds = bounds

    def read(self, sql: str, fmt: str, parameters: Mapping[str, str], settings: Mapping[str, str], tag: str) -> Answer:
        """Run one reading statement; its format wins over ``fmt``.

        Raises:
            Fault: refused, failed, over a bound, or stopped.
        """
        with self._handle() as handle:
            statement = reading(lambda text: _parsed(handle, text), sql)
            self._bind(handle, settings)
            _run(handle, "SET readonly = 1")
            chosen = statement.format or fmt
            return Answer(_run(handle, _tagged(statement, tag), chosen, parameters), chosen)

    def insert(self, insert: Insert, rows: bytes, settings: Mapping[str, str], tag: str) -> None:
        """Insert rows that never become SQL text: the engine reads them from an anonymous file."""
        columns = f" ({', '.join(f'`{name}`' for name in insert.columns)})" if insert.columns else ""
        with self._handle() as handle, os.fdopen(os.memfd_create("rows"), "wb") as file:
            file.write(rows)
            file.flush()
            self._bind(handle, settings)
            _run(handle, "SET async_insert = 0, input_format_values_interpret_expressions = 0")
            source = f"FROM INFILE '/proc/self/fd/{file.fileno()}' FORMAT {insert.format}"
            _run(handle, f"/* {tag} */ INSERT INTO otel.`{insert.table}`{columns} {source}")

    def stop(self, tag: str) -> None:
        """Stop the query that runs under ``tag``, if it still does."""
        with self._handle() as handle:
            _run(handle, f"KILL QUERY WHERE startsWith(query, '/* {uuid.UUID(tag)} */') ASYNC")

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        handle = chdb.connect(self._path)
        try:
            yield handle
        finally:
            handle.close()

    def _bind(self, handle: Any, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            if name not in ALLOWED:
                raise Fault(452, "SETTING_CONSTRAINT_VIOLATION", "a setting of the request cannot be chosen here")
            _run(handle, f"SET {name} = {_quoted(value)}")
        if _run(handle, "EXISTS DATABASE otel").strip() == b"1":
            _run(handle, "USE otel")
        bounds = self._bounds
        _run(handle, f"SET max_execution_time = {bounds.seconds}, max_memory_usage = {bounds.memory}, "
             f"max_result_bytes = {bounds.result_bytes}, result_overflow_mode = 'throw', "
             "timeout_before_checking_execution_speed = 0")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """An answer and the format it is in."""

    body: bytes
    format: str


def _tagged(statement: Reading, tag: str) -> str:
    return f"/* {uuid.UUID(tag)} */ {statement.sql}"


def _parsed(handle: Any, sql: str) -> str:
    return _run(handle, "SELECT formatQuerySingleLine({q:String})", "RawBLOB", {"q": _escaped(sql)}).decode()


def _run(handle: Any, sql: str, fmt: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> bytes:
    try:
        return bytes(handle.query(sql, fmt, params=dict(parameters or {})).bytes())
    except Exception as error:  # chDB raises RuntimeError or its own, by the kind of statement
        raise Fault.of_engine(str(error)) from None


def _escaped(text: str) -> str:
    r"""A parameter's value as ClickHouse reads it: ``\``, tabs, line ends and zeros escaped."""
    return text.translate({92: "\\\\", 9: "\\t", 10: "\\n", 13: "\\r", 0: "\\0"})


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
