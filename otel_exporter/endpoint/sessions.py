"""Sessions: what `SET` and `USE` said, kept between requests that name the same `session_id`."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from otel_exporter.endpoint.faults import Fault

_SECONDS: Final = 60  # ClickHouse's default_session_timeout
_LONGEST: Final = 3600  # ClickHouse's max_session_timeout
_MOST: Final = 10_000  # sessions held at once; the longest unused goes first
_LONGEST_ID: Final = 256


@dataclass
class Session:
    """The settings of one session."""

    settings: dict[str, str] = field(default_factory=dict)
    in_use: bool = False
    ends: float = 0.0


class Sessions:
    """All sessions, each by user and id. Belongs to one event loop; not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()

    @contextmanager
    def of(self, user: str, query: Mapping[str, str]) -> Iterator[Session]:
        """The session a request names, for this request alone; one that ends with it when it names none.

        Raises:
            Fault: the session is in use (373), unknown although `session_check=1` (372), or its timeout is wrong.
        """
        if not query.get("session_id"):
            yield Session()
            return
        seconds = _timeout(query.get("session_timeout", ""))
        session = self._take((user, query["session_id"]), must_exist=query.get("session_check") == "1")
        session.in_use = True
        try:
            yield session
        finally:
            session.in_use = False
            session.ends = self._clock() + seconds

    def _take(self, key: tuple[str, str], *, must_exist: bool) -> Session:
        if len(key[1]) > _LONGEST_ID:
            raise Fault(36, "BAD_ARGUMENTS", "the session_id is too long")
        session = self._sessions.get(key)
        if session is not None and session.in_use:
            raise Fault(373, "SESSION_IS_LOCKED", "Session is locked by a concurrent client")
        if session is None or session.ends < self._clock():
            if must_exist:
                raise Fault(372, "SESSION_NOT_FOUND", "Session not found")
            session = self._sessions[key] = Session()
            self._forget()
        self._sessions.move_to_end(key)
        return session

    def _forget(self) -> None:
        """Drop the longest unused: ended ones, and what is over the bound."""
        while self._sessions:
            key, oldest = next(iter(self._sessions.items()))
            if oldest.in_use or not (len(self._sessions) > _MOST or 0 < oldest.ends < self._clock()):
                return
            del self._sessions[key]


def _timeout(text: str) -> int:
    if not text:
        return _SECONDS
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > _LONGEST:
        raise Fault(374, "INVALID_SESSION_TIMEOUT", f"session_timeout must be at most {_LONGEST} seconds")
    return int(text)
