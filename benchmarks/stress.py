"""What `outage` and `overload` share: traffic that costs nothing to make, a `serve` to send it to, its memory."""

from __future__ import annotations

import http.client
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.process import free_port
from benchmarks.traffic import requests

_MARK: Final = b"\xa7\x1e\x5d\xc3\x92\x4b"  # at the beginning of every id of a template
_HEX: Final = _MARK.hex().encode()
_UUID: Final = _HEX[:8] + b"-" + _HEX[8:]


class _Marked(random.Random):
    def randbytes(self, n: int) -> bytes:
        return _MARK + super().randbytes(n - len(_MARK))


class Traffic:
    """Requests of LiteLLM's spans, all different: templates in which the ids are replaced, at memory speed."""

    def __init__(self, spans: int = 512, templates: int = 4) -> None:
        made = requests(templates, spans, rng=_Marked(7))
        self._templates = list(made)
        self._number = 0
        self.spans = spans

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._number += 1
        mark = (self._number * 0x9E3779B97F4A7C15 % 2**48).to_bytes(6, "big")
        text = mark.hex().encode()
        body = self._templates[self._number % len(self._templates)].replace(_MARK, mark)
        return body.replace(_UUID, text[:8] + b"-" + text[8:]).replace(_HEX, text)


class Serve:
    """A `tokentide serve` in a process of its own; ``program`` are the arguments that make Python be `tokentide`."""

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        program: Sequence[str] = ("-m", "otel_exporter.cli"),
        ready: bool = True,
    ) -> None:
        self.http, self.health = free_port(), free_port()
        self.data_dir = data_dir
        self._log = data_dir.with_name(f"{data_dir.name}.log").open("ab")
        ports = ["--grpc-port", "0", "--clickhouse-port", "0"]
        ports += ["--http-port", str(self.http), "--health-port", str(self.health)]
        command = [sys.executable, *program, "serve", "--data-dir", str(data_dir), *ports, *options]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        began = (
            (lambda: self.get("/readyz")[0] == 200) if ready else (lambda: "is not there yet" in self.get("/readyz")[1])
        )
        wait_for(began, 120, "serve does not start")

    def post(self, body: bytes, timeout: float = 60.0) -> tuple[int, str]:
        """Status and Retry-After of one trace request on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.http, timeout=timeout)) as connection:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("Retry-After", "")

    def get(self, path: str) -> tuple[int, str]:
        """Ask the health address; (0, '') while it is not there."""
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.health, timeout=30)) as connection:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over what has these labels."""
        total = 0.0
        for said, value in re.findall(rf"^{name}({{.*}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE):
            if all(f'{label}="{wanted}"' in said for label, wanted in labels.items()):
                total += float(value)
        return total

    @property
    def rss(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        self._log.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(120)
        finally:
            self.process.kill()
            self._log.close()


@contextmanager
def serving(
    data_dir: Path, *options: str, program: Sequence[str] = ("-m", "otel_exporter.cli"), ready: bool = True
) -> Iterator[Serve]:
    """A `serve` that is gone afterwards; unless it shall be ``ready``, one that waits for its ClickHouse."""
    made = Serve(data_dir, *options, program=program, ready=ready)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.stop()


def wait_for(enough: Callable[[], bool], patience: float, otherwise: str, pause: float = 0.1) -> float:
    """Ask until it is enough; the seconds it took. AssertionError when patience ends."""
    began = time.monotonic()
    while not enough():
        assert time.monotonic() - began < patience, otherwise
        time.sleep(pause)
    return time.monotonic() - began


def mib(size: float) -> str:
    """Bytes, for people."""
    return f"{size / 2**20:,.0f} MiB"
