"""One process owns an embedded data directory, and says which one when another asks."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from clickhouse_schema.errors import StoreLocked


class DirectoryLock:
    """An advisory lock (`flock`) on ``<directory>/lock``; the kernel lets go of it however the process ends.

    Raises:
        StoreLocked: somebody else holds it; the sentence names the directory and the owner's process id.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(_sentence(directory, owner)) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; harmless when done twice. The file stays: removing it would race with the next owner."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _sentence(directory: Path, owner: str) -> str:
    if owner == str(os.getpid()):
        return f"the data directory {directory} is already open in this process"
    return f"the data directory {directory} is in use by process {owner or 'unknown'}; stop it or talk to it instead"
