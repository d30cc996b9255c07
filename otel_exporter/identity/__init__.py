"""Who may write and who may read: API keys, the tenants of a data directory, limits, row policies of a server."""

from __future__ import annotations

from otel_exporter.identity.directory import Directory
from otel_exporter.identity.keyring import Keyring
from otel_exporter.identity.keys import Key, Scope

__all__ = ["Directory", "Key", "Keyring", "Scope"]
