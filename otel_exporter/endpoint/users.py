"""Who asks: ClickHouse's three ways of saying name and password."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from otel_exporter.endpoint.faults import Fault


@dataclass(frozen=True)
class User:
    """A known user. A query user reads; an ingest user inserts into the `otel_*` tables, and reads."""

    name: str
    password: str = field(repr=False)
    role: Literal["query", "ingest"] = "query"


class Users:
    """The known users; without any, `default` may read without a password and nobody may insert."""

    def __init__(self, users: tuple[User, ...]) -> None:
        self.anybody = not users
        self._users = {user.name: user for user in users or (User("default", ""),)}

    def known(self, headers: Mapping[str, str], query: Mapping[str, str]) -> User:
        """Who asks.

        Raises:
            Fault: name or password is wrong (516, the same words for both).
        """
        name, password = _credentials(headers, query)
        user = self._users.get(name)
        expected = user.password if user else ""
        if not hmac.compare_digest(password.encode(), expected.encode()) or user is None:
            raise Fault(
                516, "AUTHENTICATION_FAILED", "Authentication failed: password is incorrect, or there is no such user"
            )
        return user


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    return query.get("user") or "default", query.get("password", "")
