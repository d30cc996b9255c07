"""What has to be done to the store once, before it is used: it may have to wait for a ClickHouse that is not there yet.

A service that ended because its ClickHouse is down would turn senders away that it could serve: what they send needs
the spool, and nothing else. So the first attempt is made at the start, and the writer goes on trying.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from clickhouse_schema.errors import StoreUnavailable

log = structlog.get_logger(__name__)
#: How long a start waits for the answer of a ClickHouse that accepts connections and says nothing.
PATIENCE_SECONDS: Final = 10.0


class Preparation:
    """Migrations and the like, once. Any thread."""

    def __init__(self, prepare: Callable[[], None]) -> None:
        self._prepare = prepare
        self._turn = threading.Lock()  # held as long as an attempt takes
        self._telling = threading.Lock()
        self._done = threading.Event()
        self._waiting: list[Callable[[], None]] = []

    @property
    def is_done(self) -> bool:
        """Whether the store can be used."""
        return self._done.is_set()

    def __call__(self) -> None:
        """Do it, unless it is done.

        Raises:
            StoreUnavailable, StoreRejected, MigrationRefused: it is not done.
        """
        if self.is_done:
            return
        with self._turn:
            if not self.is_done:
                self._prepare()
                self._tell()

    def begin(self, patience: float = PATIENCE_SECONDS) -> None:
        """The first attempt: it waits ``patience`` seconds, and goes on without ClickHouse when that does not answer.

        Raises:
            StoreRejected, MigrationRefused: ClickHouse answers, and waiting does not help.
        """
        failures: list[Exception] = []

        def attempt() -> None:
            try:
                self()
            except Exception as error:  # raised in the caller's thread, if it still waits
                failures.append(error)

        thread = threading.Thread(target=attempt, name="prepare", daemon=True)
        thread.start()
        thread.join(patience)
        if failures and not isinstance(failures[0], StoreUnavailable):
            raise failures[0]
        if not self.is_done:
            why = str(failures[0]) if failures else "ClickHouse does not answer"
            log.warning("ClickHouse is not there yet; what arrives waits in the spool", reason=why)

    def then(self, act: Callable[[], None]) -> None:
        """Act when it is done; at once when it is."""
        with self._telling:
            if not self.is_done:
                self._waiting.append(act)
                return
        act()

    def _tell(self) -> None:
        with self._telling:
            self._done.set()
            acts, self._waiting = self._waiting, []
        for act in acts:
            act()
