"""Real Alertmanagers with the routing we ship, and a sink that keeps what they announce."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.process import free_port

BINARY = shutil.which("prometheus-alertmanager")
NEEDS = pytest.mark.skipif(
    BINARY is None,
    reason="no Alertmanager: apt-get install -y --no-install-recommends prometheus-alertmanager",
)
SHIPPED = Path(__file__).parents[2] / "deploy" / "alertmanager.yml"
PATIENCE = 90.0


@dataclass
class Sink:
    """What receivers were told: (receiver, group labels, alert name, labels, status) in order of arrival."""

    told: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def alerts(self, name: str = "") -> list[tuple[str, str]]:
        """(alert and its budget or team, status) of every announcement."""
        return [
            (f"{alert['labels']['alertname']}/{alert['labels'].get('budget', alert['labels'].get('team', ''))}", status)
            for notice in list(self.told)
            for alert in notice["alerts"]
            for status in [alert["status"]]
            if name in alert["labels"]["alertname"]
        ]

    def wait_for(self, enough: Callable[[Sink], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not enough(self):
            assert time.monotonic() < until, f"never announced: {self.told}"
            time.sleep(0.1)


@contextmanager
def sink() -> Iterator[Sink]:
    """A webhook that keeps what it is told."""
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.told.append({"path": self.path, **body})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Alertmanager:
    """One Alertmanager with the shipped configuration, its times made short.

    ``guard`` is its web configuration (TLS, basic authentication), ``opener`` gets through that.
    """

    def __init__(
        self,
        directory: Path,
        sink: Sink,
        *,
        cluster: int = 0,
        peers: tuple[int, ...] = (),
        guard: Mapping[str, Any] | None = None,
        opener: urllib.request.OpenerDirector | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}" if guard else f"http://127.0.0.1:{self.port}"
        self._opener = opener or urllib.request.build_opener()
        self._log = directory / "log"
        config = directory / "alertmanager.yml"
        config.write_text(_shortened(SHIPPED.read_text(), sink.url))
        gossip = (
            [f"--cluster.listen-address=127.0.0.1:{cluster}", "--cluster.settle-timeout=5s"]
            if cluster
            else ["--cluster.listen-address="]
        )
        gossip += [f"--cluster.peer=127.0.0.1:{peer}" for peer in peers]
        if cluster:
            gossip += ["--cluster.peer-timeout=3s", "--cluster.gossip-interval=100ms", "--cluster.pushpull-interval=1s"]
            gossip += ["--cluster.reconnect-interval=1s"]
        self._command = [
            str(BINARY), f"--config.file={config}", f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", *gossip,
        ]  # fmt: skip
        if guard:
            (directory / "web.yml").write_text(json.dumps(guard))
            self._command.append(f"--web.config.file={directory / 'web.yml'}")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE
        while not self._is_ready():
            assert self._process.poll() is None and time.monotonic() < until, self._log.read_text()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with self._opener.open(f"{self.url}/-/ready", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def active(self) -> set[str]:
        """The names of the alerts it holds."""
        with self._opener.open(f"{self.url}/api/v2/alerts", timeout=10) as response:
            return {alert["labels"]["alertname"] for alert in json.load(response)}

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


@contextmanager
def running(*made: Callable[[], Alertmanager]) -> Iterator[list[Alertmanager]]:
    """Alertmanagers that are stopped at the end."""
    there: list[Alertmanager] = []
    try:
        for make in made:
            there.append(make())
        yield there
    finally:
        for one in there:
            one.stop()


def _shortened(text: str, url: str) -> str:
    for name, short in (("group_wait", "1s"), ("group_interval", "2s")):
        text = re.sub(rf"{name}: \w+", f"{name}: {short}", text)
    return text.replace("http://127.0.0.1:9099", url)
