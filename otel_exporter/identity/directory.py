"""Whose data a directory of the embedded database holds. It has no row policies: a directory keeps tenants apart.

Two rules, whoever comes first:

- a key that reads for a tenant reads only while no other tenant has ever written here;
- while a tenant has such a key, nobody else writes here.

Every tenant is on record (`tenants.json`, durable) before its first row is, so the first rule never looks too late.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from otel_exporter.durable import write_file
from otel_exporter.failures import Reason, Refused
from otel_exporter.identity.keyring import Keyring
from otel_exporter.identity.keys import Key, Scope

NAME: Final = "tenants.json"
_REMEDY: Final = "the embedded database keeps tenants apart by directory: give each one of its own, or use a server"


class Directory:
    """The tenants of one data directory; ``found`` finds them where nothing is on record yet. For any thread."""

    def __init__(self, data_dir: Path, keyring: Keyring, found: Callable[[], Iterable[str]]) -> None:
        self._file = data_dir / NAME
        self._keyring = keyring
        self._lock = threading.Lock()
        known = written(data_dir)
        self._written = frozenset(found()) if known is None else known
        if known is None:
            self._record(self._written)

    def admit(self, tenant: str) -> None:
        """Let ``tenant`` write. Without a name it is the service itself: its own metrics are nobody's.

        Raises:
            Refused: another tenant has a key to read what is here.
        """
        if not tenant:
            return
        if self._keyring.tenants(Scope.QUERY) - {tenant}:
            raise Refused(
                Reason.FORBIDDEN, f"This data directory belongs to another tenant, so nothing is taken: {_REMEDY}."
            )
        with self._lock:
            if tenant not in self._written:
                self._record(self._written | {tenant})

    def check_reader(self, tenant: str) -> None:
        """Let ``tenant`` read everything here.

        Raises:
            Refused: others have written here, too.
        """
        if self._written - {tenant}:
            raise Refused(Reason.FORBIDDEN, f"This data directory has data of other tenants, too: {_REMEDY}.")

    def _record(self, tenants: frozenset[str]) -> None:
        write_file(self._file, json.dumps(sorted(tenants)).encode())
        self._written = tenants


def written(data_dir: Path) -> frozenset[str] | None:
    """Who is on record; None when nobody has kept one."""
    try:
        return frozenset(map(str, json.loads((data_dir / NAME).read_bytes())))
    except FileNotFoundError:
        return None


def check_key(tenant: str, scopes: Collection[Scope], live: Iterable[Key], written: Collection[str]) -> None:
    """Whether a new key makes sense beside the ``live`` ones and what is written in the directory.

    Raises:
        Refused: it could not be used, or would make another useless.
    """
    others = {key.tenant for key in live if key.tenant != tenant and _conflict(scopes, key.scopes)}
    if Scope.QUERY in scopes:
        others |= set(written) - {tenant}
    if others:
        raise Refused(Reason.FORBIDDEN, f"this data directory is used by {', '.join(sorted(others))}; {_REMEDY}")


def _conflict(scopes: Collection[Scope], others: Collection[Scope]) -> bool:
    """A reader goes with nobody else who reads or writes; those who only write go with each other."""
    data = {Scope.INGEST, Scope.QUERY}
    return bool(data & set(scopes) and data & set(others)) and (Scope.QUERY in scopes or Scope.QUERY in others)
