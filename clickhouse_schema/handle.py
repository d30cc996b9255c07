"""A raw handle on the embedded engine, for whoever needs more than `Store` gives: `SET`, any format, streams.

chDB's hazards (measured on 26.9): settings and `USE` belong to the handle; a handle answers one question at a time;
what a failed question had already produced comes before the handle's next answer. So a handle serves one request and
is closed, which costs about a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import chdb


class EngineError(Exception):
    """The engine refused or failed; the text is ClickHouse's own and may quote SQL and values."""


@dataclass(frozen=True)
class Answer:
    """A whole answer and what it took.

    Attributes:
        body: in the format that was asked for.
        read_rows, read_bytes: read from tables.
        result_rows: rows of the answer; after an insert, rows written.
    """

    body: bytes
    read_rows: int = 0
    read_bytes: int = 0
    result_rows: int = 0


class Handle:
    """One connection to the embedded engine. Not for two threads at once."""

    def __init__(self, path: str) -> None:
        try:
            self._connection: Any = chdb.connect(path)
        except Exception as error:
            raise EngineError(str(error)) from None

    def run(self, sql: str, fmt: str = "TabSeparatedRaw", parameters: Mapping[str, str] | None = None) -> Answer:
        """Run one statement. ``parameters`` are texts as ClickHouse reads them in a URL (``\\``, tab ... escaped).

        Raises:
            EngineError: it failed; close this handle.
        """
        try:
            result = self._connection.query(sql, fmt, params=dict(parameters or {}))
        except Exception as error:  # chDB raises RuntimeError or its own, by the kind of statement
            raise EngineError(str(error)) from None
        return Answer(
            bytes(result.bytes()), result.storage_rows_read(), result.storage_bytes_read(), result.rows_read()
        )

    def stream(self, sql: str, fmt: str, parameters: Mapping[str, str] | None = None) -> Iterator[Answer]:
        """The answer to a SELECT block by block, each in ``fmt`` on its own; they join up if it has no frame.

        Raises:
            EngineError: it failed, maybe after some blocks; close this handle.
        """
        try:
            for block in self._connection.send_query(sql, fmt, params=dict(parameters or {})):
                yield Answer(
                    bytes(block.bytes()), block.storage_rows_read(), block.storage_bytes_read(), block.rows_read()
                )
        except Exception as error:
            raise EngineError(str(error)) from None

    def close(self) -> None:
        """Give the connection back; a question under way is stopped."""
        self._connection.close()

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
