"""One process from outside: its CPU time and peak memory, from Linux's /proc."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE: Final = 120.0
_CHANCE: Final = random.SystemRandom()


class Process:
    """A child with its output in a file."""

    def __init__(self, command: list[str], log: Path, variables: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                command, stdout=output, stderr=output, env=dict(os.environ) | dict(variables or {})
            )

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready. Raises RuntimeError with the end of its log when it never is."""
        until = time.monotonic() + _PATIENCE
        while not ready():
            if self.child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"does not start: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    @property
    def peak_mib(self) -> float:
        """The most memory it had at once."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def kill(self) -> None:
        """SIGKILL."""
        self.child.kill()
        self.child.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough."""
        self.child.terminate()
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()


def free_port() -> int:
    """A port nobody has at this moment, and that no connection gets by chance before it is listened on.

    Systems give connections ports from 32768 (Linux) or 49152 on, so this takes one below.
    """
    while True:
        port = _CHANCE.randrange(10_240, 32_768)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
