"""The keys a running service knows: a dictionary by id, and a glance at the file about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from otel_exporter.identity.keyfile import KeysUnreadable, read
from otel_exporter.identity.keys import Key, Scope, parts, refuse

_GLANCE: Final = 1.0  # seconds between two looks at the file
_Stamp = tuple[int, int, int] | None
log = structlog.get_logger(__name__)


class Keyring:
    """Keys of one file, the newest it holds. May be asked from any thread.

    Raises:
        KeysUnreadable: at its start; later an unreadable file changes nothing.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._stamp = self._seen()
        found = read(path)
        #: Whether keys are asked for: there is a key file, or has been one since the start. Revoking or losing the
        #: last key closes a door, it never opens one.
        self._asked = found is not None
        self._keys = {key.id: key for key in found or ()}
        self._looked = time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether there is a key file, so that nobody gets in unknown."""
        self._look()
        return self._asked

    def known(self, text: str, scope: Scope) -> Key | None:
        """The live key with this text, if ``scope`` is one of its scopes."""
        self._look()
        said = parts(text)
        if said is None:
            return None
        key = self._keys.get(said[0])
        if key is None:
            refuse(said[1])
            return None
        return key if key.opens_with(said[1]) and scope in key.scopes and key.is_live(self._now()) else None

    def tenants(self, scope: Scope) -> frozenset[str]:
        """Whose live keys have ``scope``."""
        self._look()
        now = self._now()
        return frozenset(key.tenant for key in tuple(self._keys.values()) if scope in key.scopes and key.is_live(now))

    def _look(self) -> None:
        if time.monotonic() - self._looked < _GLANCE:
            return
        self._looked = time.monotonic()
        stamp = self._seen()
        if stamp == self._stamp:
            return
        try:
            found = read(self._path)
        except KeysUnreadable as error:
            log.warning("keys stay as they are", reason=str(error))
            return
        self._stamp = stamp
        if found is None:
            log.warning("the key file is gone: no key is valid any more", file=str(self._path))
        else:
            log.info("keys were read", keys=len(found))
        self._asked = self._asked or found is not None
        self._keys = {key.id: key for key in found or ()}

    def _seen(self) -> _Stamp:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns, seen.st_size
