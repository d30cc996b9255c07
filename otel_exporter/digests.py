"""Digests of the requests of the last minutes: a byte-identical retry after a lost answer is recognised, not stored.

While a segment exists its manifest carries the digests of its requests. Before it is deleted they move to a journal,
so a restart recognises them too. Losing a digest costs a duplicate of a *retried* request, never data.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from otel_exporter import durable

_RECORD: Final = struct.Struct("<d16s")  # seconds since 1970, key
_KEY_BYTES: Final = 16
_log = structlog.get_logger(__name__)

Key = bytes


def key(tenant: str, digest: bytes) -> Key:
    """One name for a request of a tenant: the same bytes from two tenants are two requests."""
    return hashlib.blake2b(tenant.encode() + b"\0" + digest, digest_size=_KEY_BYTES).digest()


class RecentDigests:
    """The keys of the last ``window`` seconds, at most ``limit`` of them (the oldest are forgotten first)."""

    def __init__(self, journal: Path, window: float, limit: int, now: float) -> None:
        self._journal = journal
        self._window = window
        self._limit = limit
        self._keys: dict[Key, float] = {}  # in order of time
        self._journalled = 0
        self._lock = threading.Lock()
        self.remember(_read(journal, now))
        self._rewrite()

    def remember(self, keys: Iterable[tuple[Key, float]]) -> None:
        """Recognise these keys, each until ``window`` seconds after its time."""
        with self._lock:
            for name, at in keys:
                self._keys.pop(name, None)
                self._keys[name] = at
            self._forget()

    def seen(self, name: Key, now: float) -> bool:
        """Whether this key was remembered within the window."""
        at = self._keys.get(name)
        return at is not None and now - at <= self._window

    def keep(self, names: Iterable[Key]) -> None:
        """Make these outlive this process, as far as they are remembered.

        A full disk is only logged: deleting segments must go on.
        """
        with self._lock:
            keys = [(name, self._keys[name]) for name in names if name in self._keys]
        try:
            if self._journalled > 2 * max(len(self._keys), 1_000):
                self._rewrite()
            else:
                self._append(keys)
        except OSError as error:
            self._journalled = sys.maxsize  # perhaps cut in the middle of a record: rewrite it next time
            _log.warning("digests not kept: retries after a restart may be stored twice", error=str(error))

    def _append(self, keys: Iterable[tuple[Key, float]]) -> None:
        records = b"".join(_RECORD.pack(at, name) for name, at in keys)
        with self._journal.open("ab") as file:
            file.write(records)
            durable.sync(file)
        self._journalled += len(records) // _RECORD.size

    def _forget(self) -> None:
        while self._keys:
            oldest, newest = self._keys[next(iter(self._keys))], self._keys[next(reversed(self._keys))]
            if len(self._keys) <= self._limit and newest - oldest <= self._window:
                return
            del self._keys[next(iter(self._keys))]

    def _rewrite(self) -> None:
        """Drop what is out of the window from the journal, and a record cut by a crash."""
        with self._lock:
            records = b"".join(_RECORD.pack(at, name) for name, at in self._keys.items())
        durable.write_file(self._journal, records)
        self._journalled = len(records) // _RECORD.size


def _read(journal: Path, now: float) -> list[tuple[Key, float]]:
    """The journal in order of time; a cut last record is ignored, times in the future (a moved clock) count as now."""
    content = journal.read_bytes() if journal.exists() else b""
    whole = len(content) - len(content) % _RECORD.size
    records = [(name, min(at, now)) for at, name in _RECORD.iter_unpack(content[:whole])]
    return sorted(records, key=lambda record: record[1])
