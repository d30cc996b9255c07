"""Where a receiver listens: TLS files, and the error when the port is not free."""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from pathlib import Path


class PortTaken(OSError):
    """Nobody can listen on ``address``: something else does, or the system forbids it."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(errno.EADDRINUSE, f"cannot listen on {address} for {what}: the address is taken or forbidden")
        self.address = address


@dataclass(frozen=True)
class Tls:
    """PEM files. With ``client_authority`` only senders whose certificate it signed get through (mTLS)."""

    certificate: Path
    key: Path
    client_authority: Path | None = None

    def context(self) -> ssl.SSLContext:
        """For HTTP. Raises OSError or ssl.SSLError when a file cannot be read or does not fit."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        if self.client_authority is not None:
            context.load_verify_locations(self.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
