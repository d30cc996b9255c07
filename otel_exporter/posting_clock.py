"""The moment a posting is made: what stood at a moment can be asked only if it never goes back.

A closing takes a cut of this clock: nothing is posted at or before it afterwards, whatever the machine's clock does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_TICK: Final = timedelta(milliseconds=1)  # what posted_at can tell apart


class PostingClock:
    """Calling it is the time in UTC, in milliseconds, never before what it said last."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._earliest = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """The moment to post at."""
        now = self._clock()
        with self._lock:
            self._earliest = max(now.replace(microsecond=now.microsecond // 1000 * 1000), self._earliest)
            return self._earliest

    def cut(self) -> datetime:
        """The time; whatever is posted from now on is posted after it."""
        moment = self()
        self.after(moment)
        return moment

    def after(self, moment: datetime) -> None:
        """Never say ``moment`` or anything before it again."""
        with self._lock:
            self._earliest = max(moment + _TICK, self._earliest)
