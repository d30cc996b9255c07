"""Who asks: ClickHouse's three ways of saying name and password, and API keys in the place of a password."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from otel_exporter.endpoint.faults import Fault
from otel_exporter.failures import Refused
from otel_exporter.identity.keyring import Keyring
from otel_exporter.identity.keys import Scope

#: Lets a tenant's key read, or raises `Refused`.
Admit = Callable[[str], None]
_WRONG: Final = "Authentication failed: password is incorrect, or there is no such user"


@dataclass(frozen=True)
class User:
    """A known user. A query user reads; an ingest user inserts into the `otel_*` tables, and reads."""

    name: str
    password: str = field(repr=False)
    role: Literal["query", "ingest"] = "query"


class Users:
    """The known users, and who has a key to query; ``admit`` says of each key's tenant whether it may read here.

    Without users and without a key file, `default` may read without a password and nobody may insert.
    """

    def __init__(
        self, users: tuple[User, ...] = (), keys: Keyring | None = None, admit: Admit = lambda _tenant: None
    ) -> None:
        self._users = {user.name: user for user in users}
        self._keys = keys
        self._admit = admit

    @property
    def anybody(self) -> bool:
        """Whether everybody may read."""
        return not self._users and not self.keyed

    @property
    def keyed(self) -> bool:
        """Whether there is a key file."""
        return self._keys is not None and self._keys.asked

    def known(self, headers: Mapping[str, str], query: Mapping[str, str]) -> User:
        """Who asks.

        Raises:
            Fault: name or password is wrong (516, the same words for both), or the key's tenant may not read here.
        """
        name, password = _credentials(headers, query)
        if self._keys is not None and (key := self._keys.known(password, Scope.QUERY)):
            try:
                self._admit(key.tenant)
            except Refused as refused:
                raise Fault(497, "ACCESS_DENIED", f"Not enough privileges: {refused.sentence}") from None
            return User(f"key {key.id}", "")
        user = User("default", "") if self.anybody and name == "default" else self._users.get(name)
        expected = user.password if user else ""
        if not hmac.compare_digest(password.encode(), expected.encode()) or user is None:
            raise Fault(516, "AUTHENTICATION_FAILED", _WRONG)
        return user


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, said = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "", said.strip()
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(said, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    return query.get("user") or "default", query.get("password", "")
