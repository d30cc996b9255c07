"""A real OpenTelemetry Collector with the configuration we ship, and receivers of ours that remember what it sends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from benchmarks.process import free_port
from processors.batch import Signal
from tests.e2e.house import PATIENCE, outside
from tests.wire.receivers_door import RecordingSink, door

ROOT: Final = Path(__file__).parents[2]
RECIPE: Final = ROOT / "deploy" / "collector"
BASE: Final = ROOT / "otelcol-config.yaml"
INSTALL: Final = "apt-get install golang-go && deploy/collector/build.sh"
Overlay = dict[str, Any]


def binary() -> Path:
    """The Collector: the one TEST_OTELCOL names, else the one build.sh made, else build.sh makes it now."""
    found = os.environ.get("TEST_OTELCOL") or _built()
    if Path(found).exists():
        return Path(found)
    if shutil.which("go") is None:
        pytest.skip(f"no OpenTelemetry Collector: {INSTALL}")
    made = subprocess.run([RECIPE / "build.sh"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the OpenTelemetry Collector does not build: {INSTALL}\n{made.stderr[-2000:]}")
    return Path(made.stdout.strip())


def _built() -> str:
    """Where build.sh puts it."""
    recipe = (RECIPE / "builder-config.yaml").read_bytes()
    version = re.search(rb"^  version: (.*)$", recipe, re.MULTILINE)
    assert version
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = f"otelcol-{version[1].decode()}-{hashlib.sha256(recipe).hexdigest()[:8]}"
    return str(Path(cache) / "tokentide-tests" / name)


class Collector:
    """Lives of one Collector over one storage directory. Ports are free ones; waiting is shorter than as shipped."""

    def __init__(self, otelcol: Path, folder: Path, *overlays: str, more: Overlay | None = None, **variables: str):
        folder.mkdir(exist_ok=True)
        self._otelcol, self.log = otelcol, folder / "otelcol.log"
        self.storage = folder / "storage"
        self.grpc, self.http, self.health, self.metrics = (free_port() for _ in range(4))
        files = [folder / "ports.yaml", folder / "more.yaml"]
        files[0].write_text(yaml.safe_dump(self._ports()))
        files[1].write_text(yaml.safe_dump(more or {}))
        named = [BASE, *(RECIPE / f"{overlay}.yaml" for overlay in overlays), *files]
        self._configuration = [argument for file in named for argument in ("--config", str(file))]
        known = {
            "TOKENTIDE_ENDPOINT": "http://127.0.0.1:1",
            "TOKENTIDE_TOKEN": "ingest-token",
            "TOKENTIDE_METRICS": "127.0.0.1:1",
            "OTELCOL_STORAGE": str(self.storage),
            "OTELCOL_METRICS_PORT": str(self.metrics),
            "GOMAXPROCS": "1",
        }
        self._environment = outside(**(known | variables))
        self._process: subprocess.Popen[bytes] | None = None

    def _ports(self) -> Overlay:
        protocols = {
            name: {"endpoint": f"127.0.0.1:{port}"} for name, port in (("grpc", self.grpc), ("http", self.http))
        }
        return {
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{self.health}"}},
            "receivers": {"otlp": {"protocols": protocols}},
        }

    def validate(self) -> subprocess.CompletedProcess[str]:
        """`otelcol validate`."""
        command = [self._otelcol, "validate", *self._configuration]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=120, check=False)

    def start(self) -> Collector:
        """Start, and wait until it is healthy."""
        with self.log.open("ab") as log:
            command = [self._otelcol, *self._configuration]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE
        while not self._is_healthy():
            assert self._process.poll() is None and time.monotonic() < until, self.log.read_text()[-4000:]
            time.sleep(0.05)
        return self

    def _is_healthy(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.health, timeout=5)) as connection:
                connection.request("GET", "/")
                return connection.getresponse().status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, if it lives."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Collector:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class Recorder:
    """One of our receivers in a thread: remembers the bodies a Collector sends, and acknowledges them."""

    def __init__(self) -> None:
        self.sink = RecordingSink()
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self.target = ""

    def _run(self) -> None:
        with closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._done = asyncio.Event()
        async with door(self.sink) as house:
            self.target = house.target
            self._ready.set()
            await self._done.wait()

    def bodies(self) -> list[bytes]:
        """The trace requests that came so far; the Collector sends metrics of its own, too."""
        return [body for signal, _, body in tuple(self.sink.accepted) if signal is Signal.TRACES]

    def __enter__(self) -> Recorder:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(PATIENCE)


class Cutting:
    """A TCP proxy that loses answers: the first ``cuts`` connections break when the first answer is on its way.

    What a network does that fails between our fsync and the sender.
    """

    def __init__(self, port: int, cuts: int) -> None:
        self._to, self.cuts_left = port, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._to)) as far:
            back = threading.Thread(target=self._answers, args=(far, near), daemon=True)
            back.start()
            while data := _receive(near):
                with contextlib.suppress(OSError):
                    far.sendall(data)
            back.join(PATIENCE)

    def _answers(self, far: socket.socket, near: socket.socket) -> None:
        while data := _receive(far):
            if self.cuts_left > 0 and _ends_a_call(data):
                self.cuts_left -= 1
                near.shutdown(socket.SHUT_RDWR)
                far.shutdown(socket.SHUT_RDWR)
                return
            with contextlib.suppress(OSError):
                near.sendall(data)

    def __enter__(self) -> Cutting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def _ends_a_call(data: bytes) -> bool:
    """Whether HTTP/2 frames hold the HEADERS (type 1) of an answer."""
    while len(data) >= 9:
        if data[3] == 1:
            return True
        data = data[9 + int.from_bytes(data[:3], "big") :]
    return False
