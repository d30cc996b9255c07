"""Notifier: one bounded queue and one thread per Alertmanager, so that a dead one holds up no other.

All peers of a cluster are told everything, as Alertmanager asks for; they agree among themselves who announces it. The
queue holds the newest word on each alert only, so it cannot announce an old state after a new one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from alerting.alertmanager import Client, Declined, Endpoint, Unreachable
from alerting.engine import Notice
from alerting.states import fingerprint

#: Alerts that may wait for one Alertmanager (Prometheus: alertmanager.notification-queue-capacity).
CAPACITY: Final = 10_000
BATCH: Final = 256
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


class Watcher(Protocol):
    """Is told what becomes of alerts on their way; ``peer`` is the address of the Alertmanager."""

    def sent(self, peer: str, count: int) -> None:
        """It took them."""
        ...

    def failed(self, peer: str, count: int, why: str) -> None:
        """It did not take them; they will be tried again."""
        ...

    def dropped(self, peer: str, count: int, why: str) -> None:
        """They will not be tried again."""
        ...

    def waiting(self, peer: str, count: int) -> None:
        """So many wait now."""
        ...


class Notifier:
    """All Alertmanagers of an installation."""

    def __init__(
        self, endpoints: Sequence[Endpoint], watcher: Watcher, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._peers = [_Peer(endpoint, watcher, clock) for endpoint in endpoints]

    def start(self) -> None:
        """Begin sending."""
        for peer in self._peers:
            peer.start()

    def send(self, notices: Sequence[Notice]) -> None:
        """Queue these for every Alertmanager; never waits."""
        for peer in self._peers:
            peer.put(notices)

    def stop(self, patience: float) -> None:
        """Send what waits, for at most ``patience`` seconds, then end."""
        until = time.monotonic() + patience
        for peer in self._peers:
            peer.ask_to_stop()
        for peer in self._peers:
            peer.join(max(0.0, until - time.monotonic()))


class _Peer:
    """The queue of one Alertmanager and the thread that empties it."""

    def __init__(self, endpoint: Endpoint, watcher: Watcher, clock: Callable[[], datetime]) -> None:
        self.name = endpoint.name
        self._client = Client(endpoint)
        self._watcher = watcher
        self._clock = clock
        self._queue: dict[str, Notice] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"alertmanager {self.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, notices: Sequence[Notice]) -> None:
        """Newest word wins; when the queue is full the oldest give way (they are sent again in a minute)."""
        with self._changed:
            for notice in notices:
                key = fingerprint(notice.labels)
                self._queue.pop(key, None)
                self._queue[key] = notice
            lost = len(self._queue) - CAPACITY
            for key in list(self._queue)[: max(0, lost)]:
                del self._queue[key]
            self._changed.notify()
        if lost > 0:
            self._watcher.dropped(self.name, lost, "the queue is full")

    def ask_to_stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self, patience: float) -> None:
        if self._thread.is_alive():
            self._thread.join(patience)
        if self._queue:
            self._watcher.dropped(self.name, len(self._queue), "stopping")

    def _run(self) -> None:
        pause = 0.0
        while (batch := self._next(pause)) is not None:
            pause = self._attempt(batch, pause)
            if pause and self._stopping:
                return

    def _next(self, pause: float) -> dict[str, Notice] | None:
        """The next batch, after a pause when the last one failed; None when there is nothing and never will be."""
        with self._changed:
            if pause:
                self._changed.wait_for(lambda: self._stopping, pause)
            self._changed.wait_for(lambda: self._queue or self._stopping)
            self._forget_the_expired()
            batch = dict(list(self._queue.items())[:BATCH])
            for key in batch:
                del self._queue[key]
            waiting = len(self._queue)
            stopping = self._stopping
        self._watcher.waiting(self.name, waiting)
        return None if stopping and not batch else batch

    def _forget_the_expired(self) -> None:
        """A firing alert whose end has passed while it waited would be taken for resolved."""
        now = self._clock()
        expired = [key for key, notice in self._queue.items() if not notice.resolved and notice.ends_at <= now]
        for key in expired:
            del self._queue[key]
        if expired:
            self._watcher.dropped(self.name, len(expired), "waited too long")

    def _attempt(self, batch: dict[str, Notice], pause: float) -> float:
        """Send a batch; the seconds to wait before the next."""
        if not batch:
            return 0.0
        try:
            self._client.post(list(batch.values()))
        except Declined as declined:
            self._watcher.dropped(self.name, len(batch), str(declined))
            return 0.0
        except Unreachable as unreachable:
            self._watcher.failed(self.name, len(batch), str(unreachable))
            with self._changed:  # what was said meanwhile is newer
                self._queue = {**batch, **self._queue} if len(self._queue) < CAPACITY else self._queue
            return min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
        self._watcher.sent(self.name, len(batch))
        return 0.0
