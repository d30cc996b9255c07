"""The notifier against real HTTP servers that behave well, badly, or not at all."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from alerting import notifier
from alerting.alertmanager import Client, Declined, Endpoint, Unreachable
from alerting.engine import Notice
from alerting.notifier import Notifier


class Peer:
    """An Alertmanager's door that answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[tuple[str, dict[str, str], list[dict[str, Any]]]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if peer.status == 200:
                    peer.heard.append((self.path, dict(self.headers), body))
                self.send_response(peer.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [alert for _, _, body in self.heard for alert in body]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


class Counts:
    """Counts what becomes of alerts."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str], int] = {}

    def _add(self, what: str, peer: str, count: int) -> None:
        self.counted[what, peer] = self.counted.get((what, peer), 0) + count

    def sent(self, peer: str, count: int) -> None:
        self._add("sent", peer, count)

    def failed(self, peer: str, count: int, why: str) -> None:
        self._add("failed", peer, count)

    def dropped(self, peer: str, count: int, why: str) -> None:
        self._add("dropped", peer, count)

    def waiting(self, peer: str, count: int) -> None:
        pass

    def of(self, what: str) -> int:
        return sum(count for (kind, _), count in self.counted.items() if kind == what)


def notice(name: str, *, resolved: bool = False, ends: timedelta = timedelta(minutes=4)) -> Notice:
    now = datetime.now(UTC)
    return Notice({"alertname": name, "team": ""}, {"summary": "s"}, now, now + ends, resolved)


def _until(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_dead_peer_holds_up_no_other(peer: Peer) -> None:
    """With one peer refusing connections, the other hears everything; stopping does not wait for the dead one."""
    counts = Counts()
    sender = Notifier([Endpoint("http://127.0.0.1:9"), Endpoint(peer.url + "/prefix/")], counts)
    sender.start()
    sender.send([notice("A"), notice("B")])
    _until(lambda: len(peer.alerts) == 2 and counts.of("failed"))
    began = time.monotonic()
    sender.stop(5)
    assert time.monotonic() - began < 4
    assert {path for path, _, _ in peer.heard} == {"/prefix/api/v2/alerts"}
    assert counts.of("dropped") == 2  # the dead peer's


def test_a_peer_that_comes_back_hears_the_newest_word_only(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be sent waits; a newer word on the same alert takes its place."""
    monkeypatch.setattr(notifier, "_FIRST_PAUSE", 0.2)
    peer.status, counts = 503, Counts()
    sender = Notifier([Endpoint(peer.url)], counts)
    sender.start()
    sender.send([notice("A"), notice("B")])
    _until(lambda: counts.of("failed"))
    sender.send([notice("A", resolved=True, ends=timedelta(minutes=-1))])
    peer.status = 200
    _until(lambda: len(peer.alerts) >= 2)
    sender.stop(5)
    assert sorted((alert["labels"]["alertname"], alert["endsAt"] < alert["startsAt"]) for alert in peer.alerts) == [
        ("A", True), ("B", False),
    ]  # fmt: skip


def test_what_waits_is_sent_before_the_end(peer: Peer) -> None:
    """Stopping drains the queue."""
    sender = Notifier([Endpoint(peer.url)], Counts())
    sender.send([notice(f"A{number}") for number in range(1000)])
    sender.start()
    sender.stop(20)
    assert len(peer.alerts) == 1000


def test_the_queue_is_bounded(peer: Peer) -> None:
    """Beyond its capacity the oldest alerts give way, counted."""
    counts = Counts()
    sender = Notifier([Endpoint(peer.url)], counts)
    sender.send([notice(f"A{number}") for number in range(notifier.CAPACITY + 7)])
    sender.start()
    sender.stop(60)
    assert counts.of("dropped") == 7
    assert {"A6", "A7"} & {alert["labels"]["alertname"] for alert in peer.alerts} == {"A7"}


def test_an_old_word_is_not_sent(peer: Peer) -> None:
    """A firing alert whose end passed while it waited is not sent: it would be taken for resolved."""
    counts = Counts()
    sender = Notifier([Endpoint(peer.url)], counts)
    sender.send([notice("Old", ends=timedelta(seconds=-5)), notice("New")])
    sender.start()
    sender.stop(20)
    assert [alert["labels"]["alertname"] for alert in peer.alerts] == ["New"]


@pytest.mark.parametrize(
    ("endpoint", "header"),
    [
        ({"username": "us", "password": "pä:ss"}, "Basic " + base64.b64encode("us:pä:ss".encode()).decode()),
        ({"bearer": "token"}, "Bearer token"),
        ({}, None),
    ],
)
def test_credentials(peer: Peer, endpoint: dict[str, str], header: str | None) -> None:
    """Basic and bearer authentication are sent, and nothing without them; secrets are in no repr."""
    told = Endpoint(peer.url, **endpoint)  # type: ignore[arg-type]
    Client(told).post([notice("A")])
    assert peer.heard[0][1].get("Authorization") == header
    assert "token" not in repr(told) and "pä" not in repr(told)


@pytest.mark.parametrize(
    ("status", "failure"), [(400, Declined), (500, Unreachable), (302, Unreachable), (401, Unreachable)]
)
def test_answers(peer: Peer, status: int, failure: type[Exception]) -> None:
    """A batch that is wrong is never offered again; any other trouble is tried again; redirects are not followed."""
    peer.status = status
    with pytest.raises(failure):
        Client(Endpoint(peer.url)).post([notice("A")])
