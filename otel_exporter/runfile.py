"""The run file: how a command finds the `serve` that owns a data directory.

`serve` holds a lock on `serve.lock` for as long as it lives, so a process that was killed leaves no false trace, and
writes `serve.json` (readable by its owner only) once it listens.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from otel_exporter.failures import Reason, RetryLater

_LOCK: Final = "serve.lock"
_FILE: Final = "serve.json"
_PATIENCE: Final = 10.0  # seconds a starting serve may take until it listens
_PAUSE: Final = 0.05
_GLANCE: Final = 0.5  # seconds somebody who only looks may hold the lock


class AlreadyServing(Exception):
    """Another `serve` owns the data directory."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = f" (process {pid})" if pid else ""
        super().__init__(f"a tokentide serve is already running on {data_dir}{who}")


@dataclass(frozen=True)
class Running:
    """A live `serve`: its local token, and where it listens: ``grpc``, ``http``, ``health``, and if open ``clickhouse``
    and ``local`` and ``local_health`` (OTLP/HTTP and health without TLS, on this machine, when those have TLS).

    The token lets processes of the same user in: `POST /api/query` on the health address, and OTLP on the ingest ones.
    """

    pid: int
    addresses: Mapping[str, str]
    token: str = field(repr=False)

    @property
    def local_http(self) -> str:
        """Where processes of the same user send OTLP over plain HTTP, with the token."""
        return self.addresses.get("local", self.addresses["http"])

    @property
    def local_health(self) -> str:
        """Where processes of the same user ask over plain HTTP, with the token."""
        return self.addresses.get("local_health", self.addresses["health"])


class Claim:
    """The exclusive right to serve one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.token = secrets.token_urlsafe(32)

    def publish(self, addresses: Mapping[str, str]) -> Running:
        """Say where we listen; from now on commands talk to us."""
        running = Running(os.getpid(), dict(addresses), self.token)
        temporary = self.data_dir / f"{_FILE}.new"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(running), file)
        temporary.replace(self.data_dir / _FILE)
        return running


@contextlib.contextmanager
def claim(data_dir: Path) -> Iterator[Claim]:
    """Own ``data_dir`` (created when missing) until the block ends, or the process does.

    Raises:
        AlreadyServing: somebody else does.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with _lock_file(data_dir, os.O_RDWR | os.O_CREAT) as descriptor:
        if not _lock_soon(descriptor):
            running = _read(data_dir)
            raise AlreadyServing(data_dir, running.pid if running else None)
        (data_dir / _FILE).unlink(missing_ok=True)
        try:
            yield Claim(data_dir)
        finally:
            (data_dir / _FILE).unlink(missing_ok=True)


def find(data_dir: Path, patience: float = _PATIENCE) -> Running | None:
    """The live `serve` on ``data_dir``, None when there is none; waits for one that is just starting.

    Raises:
        RetryLater: one is starting and does not listen within ``patience`` seconds.
    """
    give_up = time.monotonic() + patience
    while is_served(data_dir):
        if (running := _read(data_dir)) is not None:
            return running
        if time.monotonic() > give_up:
            raise RetryLater(
                Reason.STORE, f"another tokentide process owns {data_dir} and does not answer yet; try again soon"
            )
        time.sleep(_PAUSE)
    return None


def is_served(data_dir: Path) -> bool:
    """Whether a live process holds the lock of ``data_dir``."""
    try:
        with _lock_file(data_dir, os.O_RDWR) as descriptor:
            return not _try_lock(descriptor)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _lock_file(data_dir: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(data_dir / _LOCK, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_soon(descriptor: int) -> bool:
    """Like `_try_lock`; a command that only looks holds the lock for a moment, which must not turn a serve away."""
    give_up = time.monotonic() + _GLANCE
    while not _try_lock(descriptor):
        if time.monotonic() > give_up:
            return False
        time.sleep(_PAUSE)
    return True


def _try_lock(descriptor: int) -> bool:
    """Whether the lock is now ours; closing the file gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(data_dir: Path) -> Running | None:
    try:
        return Running(**json.loads((data_dir / _FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
