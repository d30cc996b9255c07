"""Our client and a real Alertmanager behind TLS: whom it trusts, and how it is known there."""

from __future__ import annotations

import base64
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from alerting.alertmanager import Client, Declined, Endpoint, Unreachable
from alerting.engine import Notice
from tests.certificates import Authority
from tests.e2e.alertmanagers import NEEDS, Alertmanager, running, sink

pytestmark = pytest.mark.e2e
_USER, _PASSWORD = "tokentide", "correct horse"
_HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"  # bcrypt of the password
_NOW = datetime.now(UTC)
_NOTICE = Notice({"alertname": "BudgetBurn", "owner": "us"}, {}, _NOW, _NOW + timedelta(hours=1), False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Ours; it signed the server's certificate and a client's."""
    return Authority(tmp_path_factory.mktemp("ca"), "server", "client")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that signed neither."""
    return Authority(tmp_path_factory.mktemp("stranger"), "client")


def _files(authority: Authority, name: str) -> dict[str, str]:
    folder = authority.folder
    return {"cert_file": str(folder / f"{name}.pem"), "key_file": str(folder / f"{name}.key")}


def _opener(context: ssl.SSLContext, login: bool) -> urllib.request.OpenerDirector:
    made = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    if login:
        word = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        made.addheaders.append(("Authorization", f"Basic {word}"))
    return made


@NEEDS
def test_basic_authentication_over_tls(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    """An Alertmanager that a CA of one's own vouches for takes alerts with the right password, and only so."""
    guard: dict[str, Any] = {
        "tls_server_config": _files(authority, "server"),
        "basic_auth_users": {_USER: _HASH},
    }
    opener = _opener(authority.client(), login=True)
    with sink() as kept, running(lambda: Alertmanager(tmp_path, kept, guard=guard, opener=opener)) as (manager,):
        right = Endpoint(manager.url, _USER, _PASSWORD, ca_file=authority.root)
        wrong = (
            replace(right, password="wrong"),
            replace(right, username="", password=""),
            replace(right, ca_file=stranger.root),
            replace(right, ca_file=None),
        )
        for endpoint in wrong:
            with pytest.raises(Unreachable) as failure:
                Client(endpoint).post([_NOTICE])
            assert _PASSWORD not in str(failure.value)
        with pytest.raises(Declined):
            Client(replace(right, url=manager.url.replace("https", "http"))).post([_NOTICE])
        assert not manager.active()
        Client(right).post([_NOTICE])
        assert manager.active() == {"BudgetBurn"}
        Client(replace(right, ca_file=None, insecure_skip_verify=True)).post([_NOTICE])


@NEEDS
def test_a_certificate_of_our_own(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    """An Alertmanager that asks for a client's certificate takes alerts from the one its CA signed, from no other."""
    server = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.root)}
    guard = {"tls_server_config": _files(authority, "server") | server}
    opener = _opener(authority.client("client"), login=False)
    with sink() as kept, running(lambda: Alertmanager(tmp_path, kept, guard=guard, opener=opener)) as (manager,):
        known = Endpoint(manager.url, ca_file=authority.root, **_paths(authority))
        for endpoint in (Endpoint(manager.url, ca_file=authority.root), replace(known, **_paths(stranger))):
            with pytest.raises(Unreachable):
                Client(endpoint).post([_NOTICE])
        Client(known).post([_NOTICE])
        assert manager.active() == {"BudgetBurn"}


def _paths(authority: Authority) -> dict[str, Any]:
    return {name: Path(file) for name, file in _files(authority, "client").items()}


def test_a_bearer_token_over_tls(authority: Authority) -> None:
    """A proxy that wants a token, as stands in front of an Alertmanager, gets it over TLS and never without."""
    with _proxy(authority, "s3cret") as (url, heard):
        Client(Endpoint(url, bearer="s3cret", ca_file=authority.root)).post([_NOTICE])
        with pytest.raises(Unreachable):
            Client(Endpoint(url, bearer="stale", ca_file=authority.root)).post([_NOTICE])
        with pytest.raises(Unreachable):
            Client(Endpoint(url, bearer="s3cret")).post([_NOTICE])
    assert heard == ["Bearer s3cret", "Bearer stale"]  # to a server nobody vouches for, no token


@contextmanager
def _proxy(authority: Authority, token: str) -> Iterator[tuple[str, list[str]]]:
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(self.headers["Authorization"])
            self.send_response(200 if heard[-1] == f"Bearer {token}" else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """A handshake that fails is what the test wants."""

    server = Server(("localhost", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
