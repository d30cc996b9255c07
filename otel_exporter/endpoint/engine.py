"""Queries on handles of their own: bounded, read-only, and stoppable from another thread."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from clickhouse_schema.errors import StoreUnavailable
from clickhouse_schema.handle import Answer, EngineError, Handle
from clickhouse_schema.store import Store
from otel_exporter.endpoint.choices import Bounds, quoted
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.statements import Insert, Reading, reading

#: Formats without a frame: what the engine gives for each block joins up to one answer.
_STREAMABLE: Final = frozenset(
    {"Native", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "CSV", "RowBinary", "JSONEachRow", "NDJSON",
     "JSONCompactEachRow", "TSKV"}
)  # fmt: skip
_SYNTAX_ERROR: Final = 62
_AT_ONCE: Final = 1 << 20  # bytes of an answer that are computed before the first is sent


@dataclass(frozen=True)
class Question:
    """A reading statement and all that the request says about it; ``settings`` are checked ones."""

    sql: str
    format: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    whole: bool
    tag: uuid.UUID


class Reply:
    """An answer under way. `summary` and `body` are what is known at its start; `more` computes on."""

    def __init__(self, handle: Handle, blocks: Iterator[Answer], fmt: str) -> None:
        self.format = fmt
        self.ended = False
        self.summary = {"read_rows": 0, "read_bytes": 0, "result_rows": 0, "result_bytes": 0}
        self._handle = handle
        self._blocks = blocks
        pieces = []
        size = 0
        while size < _AT_ONCE and (piece := self.more()):
            pieces.append(piece)
            size += len(piece)
        self.body = b"".join(pieces)

    def more(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            Fault: the query failed, or went over a bound.
        """
        try:
            for block in self._blocks:
                self._count(block)
                if block.body:
                    return block.body
        except EngineError as error:
            raise Fault.of_engine(str(error)) from None
        self.close()
        return b""

    def _count(self, block: Answer) -> None:
        # chDB's count of rows read is the whole query's so far, not the block's
        self.summary["read_rows"] = max(self.summary["read_rows"], block.read_rows)
        self.summary["read_bytes"] = max(self.summary["read_bytes"], block.read_bytes)
        self.summary["result_rows"] += block.result_rows
        self.summary["result_bytes"] += len(block.body)

    def close(self) -> None:
        """Let the engine go; a query under way is stopped."""
        self.ended = True
        self._handle.close()


class Engine:
    """The embedded engine of a store."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds

    def canonical(self, sql: str) -> str:
        """One statement as ClickHouse's parser writes it. Raises Fault when it is not one."""
        with self._handle() as handle:
            return _Parser(handle, {}).canonical(sql)

    def check(self, sql: str) -> None:
        """Whether `read` would run ``sql``. Raises Fault when it is not one statement that only reads tables."""
        with self._handle() as handle:
            reading(_Parser(handle, {}), sql)

    def version(self) -> str:
        """ClickHouse's version."""
        with self._handle() as handle:
            return _run(handle, "SELECT version()").body.decode().strip()

    def read(self, question: Question) -> Reply:
        """Begin to answer; the statement's own format wins over the question's.

        Raises:
            Fault: refused, failed, over a bound, or stopped.
        """
        handle = self._handle()
        try:
            statement = reading(_Parser(handle, question.parameters), question.sql)
            fmt = statement.format or question.format
            streamed = statement.streams and fmt in _STREAMABLE and not question.whole
            self._bind(handle, question.settings, whole=not streamed)
            _run(handle, f"SET readonly = {statement.readonly}")
            return Reply(handle, _blocks(handle, statement, fmt, question, streamed=streamed), fmt)
        except BaseException:
            handle.close()
            raise

    def insert(self, insert: Insert, rows: memoryview, settings: Mapping[str, str], tag: uuid.UUID) -> int:
        """Insert rows that never become SQL text: the engine reads them from an anonymous file. How many they were.

        Raises:
            Fault: the rows cannot be read as what the insert says, or the engine failed.
        """
        columns = f" ({', '.join(f'`{name}`' for name in insert.columns)})" if insert.columns else ""
        with self._handle() as handle, os.fdopen(os.memfd_create("rows"), "wb") as file:
            file.write(rows)
            file.flush()
            self._bind(handle, settings, whole=False)
            _run(handle, "SET async_insert = 0, input_format_values_interpret_expressions = 0")
            source = f"FROM INFILE '/proc/self/fd/{file.fileno()}' FORMAT {insert.format}"
            return _run(handle, f"/* {tag} */ INSERT INTO otel.`{insert.table}`{columns} {source}").result_rows

    def stop(self, tag: uuid.UUID) -> None:
        """Stop the query that runs under ``tag``, if it still does."""
        with closing(self._handle()) as handle:
            _run(handle, f"KILL QUERY WHERE startsWith(query, '/* {tag} */') ASYNC")

    def _handle(self) -> Handle:
        try:
            return self._store.handle()
        except (StoreUnavailable, EngineError):
            raise Fault(236, "ABORTED", "the service is stopping", status=503) from None

    def _bind(self, handle: Handle, settings: Mapping[str, str], *, whole: bool) -> None:
        _run(handle, "USE otel")
        fixed = {"result_overflow_mode": "throw", "timeout_before_checking_execution_speed": "0"}
        limits = {name: str(value) for name, value in self._bounds.limits.items()}
        chosen = limits | {"session_timezone": "UTC"} | dict(settings) | fixed
        if not whole:
            del chosen["max_result_bytes"]
        _run(handle, "SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in chosen.items()))


def _blocks(handle: Handle, statement: Reading, fmt: str, question: Question, *, streamed: bool) -> Iterator[Answer]:
    sql = f"/* {question.tag} */ {statement.sql}"
    if streamed:
        return handle.stream(sql, fmt, question.parameters)
    return iter([_run(handle, sql, fmt, question.parameters)])


class _Parser:
    def __init__(self, handle: Handle, parameters: Mapping[str, str]) -> None:
        self._handle = handle
        self._parameters = parameters

    def canonical(self, sql: str) -> str:
        try:
            answer = _run(self._handle, "SELECT formatQuerySingleLine({q:String})", "RawBLOB", {"q": _escaped(sql)})
        except Fault as fault:
            what, ours, _ = fault.text.partition(": In scope SELECT formatQuerySingleLine")
            fault.text = f"{what}. (SYNTAX_ERROR)\n" if ours and fault.code == _SYNTAX_ERROR else fault.text
            raise
        return answer.body.decode()

    def tree(self, canonical: str) -> str:
        return _run(self._handle, f"EXPLAIN AST {canonical}", "TabSeparatedRaw", self._parameters).body.decode()


def _run(handle: Handle, sql: str, fmt: str = "TabSeparatedRaw", parameters: Mapping[str, str] | None = None) -> Answer:
    try:
        return handle.run(sql, fmt, parameters)
    except EngineError as error:
        raise Fault.of_engine(str(error)) from None


def _escaped(text: str) -> str:
    r"""A parameter's value as ClickHouse reads it: ``\``, tabs, line ends and zeros escaped."""
    return text.translate({92: "\\\\", 9: "\\t", 10: "\\n", 13: "\\r", 0: "\\0"})
