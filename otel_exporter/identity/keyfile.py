"""The key file: JSON, readable by its owner only, replaced whole. It holds no secret, only hashes."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from otel_exporter.durable import new_file
from otel_exporter.identity.keys import Key, Scope

NAME: Final = "keys.json"
_VERSION: Final = 1
_OWNER_ONLY: Final = 0o600


class KeysUnreadable(Exception):
    """The key file is there and cannot be read: without it nobody can be told from anybody."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"the key file {path} cannot be read: {why}")


def read(path: Path) -> tuple[Key, ...] | None:
    """Every key, the revoked ones too; None when there is no file.

    Raises:
        KeysUnreadable: there is one, and it is not what `change` writes.
    """
    try:
        said = json.loads(path.read_bytes())
        if said["version"] != _VERSION:
            raise KeysUnreadable(path, "another version wrote it")
        return tuple(map(_key, said["keys"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeysUnreadable(path, (error.strerror or type(error).__name__).lower()) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeysUnreadable(path, "it is not a key file") from None


def change(path: Path, edit: Callable[[tuple[Key, ...]], Iterable[Key]]) -> None:
    """Replace the keys by what ``edit`` makes of them; two that change at once wait for each other.

    Raises:
        KeysUnreadable: what is there is no key file; it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_name(f"{path.name}.lock")):
        keys = [_said(key) for key in edit(read(path) or ())]
        with new_file(path) as file:
            os.fchmod(file.fileno(), _OWNER_ONLY)
            file.write(json.dumps({"version": _VERSION, "keys": keys}, indent=1).encode())


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _said(key: Key) -> dict[str, Any]:
    times = {"created_at": key.created_at, "expires_at": key.expires_at, "revoked_at": key.revoked_at}
    return {
        "id": key.id,
        "hash": key.hash,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        **{name: time.isoformat() if time else None for name, time in times.items()},
    }


def _key(said: dict[str, Any]) -> Key:
    created, expires, revoked = (
        datetime.fromisoformat(said[name]) if said.get(name) else None
        for name in ("created_at", "expires_at", "revoked_at")
    )
    if created is None or any(time and time.tzinfo is None for time in (created, expires, revoked)):
        raise ValueError("a time without zone")
    identity, digest, tenant = (str(said[name]) for name in ("id", "hash", "tenant"))
    scopes = frozenset(map(Scope, said["scopes"]))
    return Key(identity, digest, tenant, scopes, created, expires, revoked, str(said.get("name", "")))
