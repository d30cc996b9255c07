"""Which messages were stored today: one that comes again is not written again.

An agent that sends its whole history with every call costs references only. What is remembered was made durable first,
so a message is on disk before anything that only refers to it. Without memory (a new process, more messages than it
holds) a message is written again, and merges keep one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Final

import polars as pl

from processors.batch import Batch
from processors.messages import Messages

CONTENT: Final = "genai_content"
#: Messages remembered; about 100 bytes each.
_MOST: Final = 500_000


class ContentShelf:
    """Takes messages out of batches, and gives only those to store that were not stored today."""

    def __init__(self, most: int = _MOST, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._messages = Messages()
        self._most = most
        self._now = now
        self._today = date.min
        self._known: set[str] = set()

    def put(self, batch: Batch) -> tuple[Batch, pl.DataFrame]:
        """The batch with references, and the messages that have to be stored with it."""
        now = self._now()
        if now.date() != self._today or len(self._known) > self._most:
            self._today, self._known = now.date(), set()
        batch, rows = self._messages(batch, now)
        new = [name not in self._known for name in rows["hash"]]
        return batch, rows.filter(pl.Series(new, dtype=pl.Boolean))

    def stored(self, tables: Mapping[str, pl.DataFrame]) -> None:
        """These tables are durable."""
        if CONTENT in tables:
            self._known.update(tables[CONTENT]["hash"])
