"""A real `tokentide serve` in a process of its own, and what an outsider can do with it: send, ask, stop, kill."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from otel_exporter import runfile
from otel_exporter.asking import live, table

TOKENTIDE: Final = str(Path(sys.executable).with_name("tokentide"))
FREE_PORTS: Final = ("--grpc-port", "0", "--http-port", "0", "--clickhouse-port", "0", "--health-port", "0")
PROTOBUF: Final = "application/x-protobuf"
PATIENCE: Final = 90.0  # seconds; a busy machine is slow, a broken one never gets there
Row = dict[str, Any]


def outside(**variables: str) -> dict[str, str]:
    """This environment without what would configure tokentide, an OpenTelemetry SDK or LiteLLM, plus ``variables``."""
    ours = ("TOKENTIDE_", "OTEL_", "LITELLM_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables


def tokentide(
    *arguments: object, cwd: Path, patience: float = 240, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, for at most ``patience`` seconds."""
    return subprocess.run(
        [TOKENTIDE, *map(str, arguments)],
        cwd=cwd,
        env=outside(**variables),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def asked(data_dir: Path, sql: str) -> list[Row]:
    """What `tokentide query --format json` answers."""
    ran = tokentide("query", sql, "--format", "json", "--data-dir", data_dir, cwd=data_dir)
    assert ran.returncode == 0, ran.stderr
    rows: list[Row] = json.loads(ran.stdout)
    return rows


class House:
    """One life of `tokentide serve` over a data directory. Its standard error goes to ``serve.log`` beside that."""

    def __init__(self, data_dir: Path, *options: str, **variables: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(data_dir.name + ".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [TOKENTIDE, "serve", "--data-dir", str(data_dir), *FREE_PORTS, *options],
                cwd=data_dir.parent,
                env=outside(**variables),
                stdout=log,
                stderr=log,
            )
        self.running = self._started()

    def _started(self) -> runfile.Running | None:
        """Where it listens; None when it died before it did."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            found = runfile.find(self.data_dir, patience=PATIENCE) if self.data_dir.exists() else None
            if found is not None and found.pid == self.process.pid:
                return found
            assert time.monotonic() < until, f"serve does not start: {self.log.read_text()}"
            time.sleep(0.02)
        return None

    @property
    def addresses(self) -> Mapping[str, str]:
        """``grpc``, ``http``, ``clickhouse``, ``health``."""
        assert self.running is not None, f"serve died: {self.log.read_text()}"
        return self.running.addresses

    @property
    def url(self) -> str:
        """OTLP/HTTP."""
        return f"http://{self.addresses['http']}"

    def post(self, path: str, body: bytes, media: str = PROTOBUF, **headers: str) -> tuple[int, bytes]:
        """One request on a connection of its own: HTTP status and answer."""
        with closing(http.client.HTTPConnection(self.addresses["http"], timeout=PATIENCE)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, body, {"Content-Type": media, **named})
            response = connection.getresponse()
            return response.status, response.read()

    def send(self, path: str, body: bytes, media: str = PROTOBUF, **headers: str) -> None:
        """One request that must be acknowledged."""
        status, answer = self.post(path, body, media, **headers)
        assert status == 200, (status, answer)

    def get(self, path: str) -> tuple[int, str]:
        """Ask the health address."""
        with closing(http.client.HTTPConnection(self.addresses["health"], timeout=PATIENCE)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def ask(self, sql: str) -> list[Row]:
        """The answer to a question, as rows."""
        assert self.running is not None
        answer = table(live(self.running), sql)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def wait_for(self, sql: str, enough: Callable[[list[Row]], bool] = bool) -> list[Row]:
        """Ask until the answer is enough (has rows, if nothing else is said)."""
        until = time.monotonic() + PATIENCE
        while not enough(rows := self.ask(sql)):
            assert time.monotonic() < until, f"never enough: {rows}\n{self.log.read_text()}"
            time.sleep(0.2)
        return rows

    def wait_for_metric(self, line: str) -> str:
        """All metrics, once they say this: a job is counted after what it wrote can be seen."""
        until = time.monotonic() + PATIENCE
        while line not in (metrics := self.get("/metrics")[1]):
            assert time.monotonic() < until, f"never {line}: {metrics}"
            time.sleep(0.2)
        return metrics

    def stop(self) -> None:
        """SIGTERM; it must store everything and end well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()

    def kill(self) -> None:
        """SIGKILL, if it still lives, and wait until the kernel has let go of its locks."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(data_dir: Path, *options: str, **variables: str) -> Iterator[House]:
    """A house that is stopped at the end, well if the block ends well."""
    house = House(data_dir, *options, **variables)
    try:
        yield house
        if house.process.poll() is None:
            house.stop()
    finally:
        house.kill()
