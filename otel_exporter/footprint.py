"""Whether a failed insert wrote anything: the question that decides if its rows may be offered under another token.

ClickHouse writes the table first and its materialized views after; when a view fails, the error looks like any other
while the rows are in. Measured on chDB 26.9. Parts carry block numbers that only ever grow, so if the highest ones of
the table and of everything its views write are what they were before the first attempt, nothing was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import polars as pl

_MARKS: Final = """
SELECT table, toInt64(max(max_block_number)) AS mark FROM system.parts WHERE database = {database:String} GROUP BY table
"""
_VIEWS: Final = r"""
SELECT sources.name AS source, extract(views.create_table_query, ' TO [^ (]*?\.?`?(\w+)`?[ (]') AS target
FROM (
    SELECT name, arrayJoin(dependencies_table) AS view FROM system.tables WHERE database = {database:String}
) AS sources
JOIN (
    SELECT name, create_table_query FROM system.tables WHERE database = {database:String}
) AS views ON sources.view = views.name
"""


class Queries(Protocol):
    """The part of the store that is needed here."""

    def arrow(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The rows of a query."""
        ...


class Footprints:
    """What inserts leave behind in the store."""

    def __init__(self, store: Queries, database: str) -> None:
        self._store = store
        self._parameters = {"database": database}

    def marks(self) -> dict[str, int]:
        """The highest block number of every table that has parts. Raises StoreUnavailable."""
        return dict(self._store.arrow(_MARKS, self._parameters).select("table", "mark").iter_rows())

    def untouched(self, table: str, before: Mapping[str, int]) -> bool:
        """Whether nothing was written to ``table`` and what its views write since ``before`` was taken."""
        now = self.marks()
        return all(now.get(name) == before.get(name) for name in self._reached(table))

    def _reached(self, table: str) -> set[str]:
        views = self._store.arrow(_VIEWS, self._parameters)
        reached, found = set[str](), {table}
        while found:
            reached |= found
            found = set(views.filter(pl.col("source").is_in(list(found)))["target"]) - reached
        return reached
