"""Sending files to a running service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status

from otel_exporter.failures import Refused
from otel_exporter.forward import Sent, send_files
from tests.unit.otel_exporter.test_otlp_files import logs, traces

Seen = tuple[str, str | None, bytes]


@contextmanager
def service(*answers: int) -> Iterator[tuple[str, list[Seen]]]:
    """A service that gives ``answers`` one after the other, then 200; its address and what it got."""
    seen: list[Seen] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Authorization"], body))
            status = left.pop(0) if left else 200
            answer = b"" if status == 200 else Status(code=3, message="because").SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two OTLP files."""
    (tmp_path / "a.traces.pb").write_bytes(traces())
    (tmp_path / "b.logs.pb").write_bytes(logs())
    return sorted(tmp_path.iterdir())


def test_files_arrive(files: list[Path]) -> None:
    """Each request goes to its signal's path with the token; bytes are reported file by file."""
    done: list[int] = []
    with service() as (address, seen):
        assert send_files(address, "t", files, done.append) == Sent(2, 2, len(traces()) + len(logs()))
    assert seen == [("/v1/traces", "Bearer t", traces()), ("/v1/logs", "Bearer t", logs())]
    assert done == [len(traces()), len(logs())]


def test_retry_later_is_obeyed(files: list[Path]) -> None:
    """A service that asks to come back gets the same bytes again."""
    with service(503, 503) as (address, seen):
        assert send_files(address, "", files[:1], lambda _: None).requests == 1
    assert seen == [("/v1/traces", None, traces())] * 3


def test_a_refusal_ends_it(files: list[Path]) -> None:
    """A refused request is not sent again; the sentence names the file and the service's reason."""
    with service(400) as (address, seen), pytest.raises(Refused, match=r"a\.traces\.pb was refused \(400\): because"):
        send_files(address, "", files, lambda _: None)
    assert len(seen) == 1
