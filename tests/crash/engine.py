"""A ClickHouse that can be tormented: the real engine in a process of its own, asked over HTTP with every right.

    python -m tests.crash.engine DIRECTORY PORT

Killing and stopping it are done from outside. ``POST /fault?kind=K&seconds=S`` makes what follows fail for a while:
``readonly`` and ``full`` refuse what writes, as a server would; ``slow`` lets every statement wait; ``lost`` carries
writes out and breaks the connection before the answer; ``refuse`` refuses for good every question that is given a table
with ``word`` in it.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import chdb

from tests.unit.clickhouse_schema.front import Handler

ROOT: Final = Path(__file__).parents[2]
KINDS: Final = ("readonly", "full", "slow", "lost")  # what the ledger test draws from
_REFUSALS: Final = {
    "readonly": "Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)",
    "full": "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
}
_WRITES: Final = re.compile(rb"\s*(INSERT|CREATE|ALTER|DROP|TRUNCATE|OPTIMIZE)\b", re.IGNORECASE)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    kind = ""
    word = ""
    until = 0.0

    def fault(self) -> str:
        """What is wrong at this moment."""
        return self.kind if time.monotonic() < self.until else ""


class _Tormented(Handler):
    server: _Server

    def do_POST(self) -> None:
        """A statement, or a word about what shall fail."""
        parts = urlsplit(self.path)
        asked = parse_qs(parts.query)
        if parts.path == "/fault":
            self._body()
            self.server.kind, self.server.until = asked["kind"][0], time.monotonic() + float(asked["seconds"][0])
            self.server.word = asked.get("word", [""])[0]
            self._answer(200, b"")
            return
        super().do_POST()

    def _run(self, arguments: dict[str, str], files: dict[str, bytes], body: bytes) -> bytes:
        fault = self.server.fault()
        if fault == "refuse" and any(self.server.word.encode() in content for content in files.values()):
            raise RuntimeError("Code: 44. DB::Exception: what is given is not liked. (ILLEGAL_COLUMN)")
        writes = _WRITES.match((arguments.get("query", "").encode() or body)[:100]) is not None
        if fault == "slow":
            time.sleep(random.uniform(0.3, 1.0))
        if writes and fault in _REFUSALS:
            raise RuntimeError(_REFUSALS[fault])
        answer = super()._run(arguments, files, body)
        if writes and fault == "lost":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return answer


class Engine:
    """Lives of the engine over one directory, seen from outside."""

    def __init__(self, directory: Path, port: int) -> None:
        self._command = [sys.executable, "-m", "tests.crash.engine", str(directory), str(port)]
        self._address = f"127.0.0.1:{port}"
        self._log = directory.with_name(directory.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{self._address}"

    def start(self, patience: float = 90.0) -> Engine:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + patience
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < until, self._log.read_text()[-2000:]
            time.sleep(0.05)
        return self

    def fail(self, kind: str, seconds: float, word: str = "") -> None:
        """Let what follows fail."""
        self._post(f"/fault?kind={kind}&seconds={seconds}&word={word}", b"")

    def ask(self, sql: str) -> str:
        """The answer to a question, in the format its SQL names."""
        return self._post("/?database=otel", sql.encode()).decode()

    def signal(self, number: int) -> None:
        """SIGSTOP, SIGCONT."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, if it lives."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            return self._post("/", b"SELECT 1") == b"1\n"
        except (OSError, http.client.HTTPException):
            return False

    def _post(self, path: str, body: bytes) -> bytes:
        with closing(http.client.HTTPConnection(self._address, timeout=120)) as connection:
            connection.request("POST", path, body)
            response = connection.getresponse()
            answer = response.read()
        assert response.status == 200, answer.decode()[:2000]
        return answer


def main() -> None:
    """Serve until killed."""
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    _Tormented.data = directory
    keeper = chdb.connect(f"{directory}?max_server_memory_usage={memory}")  # the engine lives as long as a handle does
    with _Server(("127.0.0.1", port), _Tormented) as server:
        server.serve_forever()
    keeper.close()


if __name__ == "__main__":
    main()
