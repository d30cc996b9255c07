"""The doctor's probe, when the path is broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from otel_exporter.doctor import send_probe
from otel_exporter.failures import Reason, RetryLater
from otel_exporter.runfile import Running

PATIENCE = 0.2
Answers = Mapping[str, tuple[int, str]]


@contextmanager
def answering(answers: Answers) -> Iterator[Running]:
    """Something that answers these paths, in place of a serve."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            status, text = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        yield Running(1, {"http": address, "health": address}, "token")
        server.shutdown()
        thread.join()


def never(_sql: str, _parameters: Mapping[str, str]) -> bytes:
    """The span is not there."""
    return b'["count()"]\n["UInt64"]\n[0]\n'


def busy(_sql: str, _parameters: Mapping[str, str]) -> bytes:
    """Nobody answers yet."""
    raise RetryLater(Reason.STORE, "later")


def there(_sql: str, parameters: Mapping[str, str]) -> bytes:
    """The span is there."""
    assert len(parameters["trace"]) == 32
    return b'["count()"]\n["UInt64"]\n[1]\n'


@pytest.mark.parametrize("ask", [never, busy])
def test_a_span_that_does_not_come_is_explained(ask: Callable[[str, Mapping[str, str]], bytes]) -> None:
    """An acknowledged span that no question finds is a failure, with what the service says of its readiness."""
    with answering({"/v1/traces": (200, ""), "/readyz": (503, "writer backing_off: x\n")}) as running:
        probe = send_probe(running, ask, PATIENCE)
    assert not probe.is_well and probe.acknowledged_ms is not None and probe.queryable_ms is None
    assert probe.sentence.endswith("it says: writer backing_off: x")


def test_a_refusal_is_a_failure() -> None:
    """A span that is not taken is a failure with the status; nothing is waited for."""
    with answering({"/v1/traces": (503, ""), "/readyz": (200, "ready")}) as running:
        probe = send_probe(running, there)
    assert not probe.is_well and "HTTP 503" in probe.sentence


def test_a_span_that_comes_is_well() -> None:
    """Both times are measured, and there is no problem."""
    with answering({"/v1/traces": (200, "")}) as running:
        probe = send_probe(running, there)
    assert probe.is_well and probe.queryable_ms is not None


def test_nobody_there_is_a_failure() -> None:
    """A serve that cannot be reached is a sentence, never an exception."""
    with answering({}) as running:
        gone = running
    probe = send_probe(gone, json.dumps)  # type: ignore[arg-type]  # is never asked
    assert "cannot be reached" in probe.sentence
