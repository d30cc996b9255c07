"""Where a receiver listens: the error when the port is not free."""

from __future__ import annotations

import errno


class PortTaken(OSError):
    """Nobody can listen on ``address``: something else does, or the system forbids it."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(errno.EADDRINUSE, f"cannot listen on {address} for {what}: the address is taken or forbidden")
        self.address = address
