"""API keys: `tt_<id>_<secret>`. What is kept of one is its id and a hash of its secret.

The secret is 256 random bits, so one SHA-256 of it is all a hash can do: bcrypt and its like make *guessing* dear, and
there is nothing to guess in 2**256; they would only make every request slow.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Final

PREFIX: Final = "tt"
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6
_NOBODY: Final = "0" * 64  # compared with when no key has the id, so that it takes as long


class Scope(StrEnum):
    """What a key is good for."""

    INGEST = "ingest"
    QUERY = "query"
    METRICS = "metrics"


@dataclass(frozen=True)
class Key:
    """One key as it is kept; times are UTC."""

    id: str
    hash: str = field(repr=False)
    tenant: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    name: str = ""

    def is_live(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def state(self, now: datetime) -> str:
        """``live``, ``revoked`` or ``expired``."""
        if self.is_live(now):
            return "live"
        return "revoked" if self.revoked_at else "expired"

    def opens_with(self, secret: str) -> bool:
        """Whether ``secret`` is its own; takes the same time whatever it is."""
        return compare_digest(_digest(secret), self.hash)

    def ending(self, at: datetime) -> Key:
        """This key, expiring at ``at`` unless it ends sooner."""
        return replace(self, expires_at=min(at, self.expires_at or at))


def minted(
    tenant: str, scopes: Collection[Scope], now: datetime, expires_at: datetime | None = None, name: str = ""
) -> tuple[Key, str]:
    """A new key, and the text to hand over, which nobody can see again."""
    identity, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    key = Key(identity, _digest(secret), tenant, frozenset(scopes), now, expires_at, name=name)
    return key, f"{PREFIX}_{identity}_{secret}"


def parts(text: str) -> tuple[str, str] | None:
    """Id and secret of a text that looks like a key."""
    prefix, _, rest = text.partition("_")
    identity, _, secret = rest.partition("_")
    return (identity, secret) if prefix == PREFIX and identity and secret else None


def refuse(secret: str) -> None:
    """Spend the time of a comparison on a key that is not there."""
    compare_digest(_digest(secret), _NOBODY)


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
