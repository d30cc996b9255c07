"""`tokentide serve` with TLS on its OTLP listeners, seen from outside, and by our own commands."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.certificates import Authority
from tests.e2e.house import PROTOBUF, House, serving, tokentide
from tests.e2e.test_shutdown import request

pytestmark = pytest.mark.e2e
TOKEN = "ingest-token"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signed a server and a sender."""
    return Authority(tmp_path_factory.mktemp("tls"), "server", "sender")


@pytest.fixture(scope="module")
def house(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """TLS on both listeners, and only for senders with a certificate; a token besides."""
    folder = authority.folder
    file = folder / "tokentide.yaml"
    tls = "{certificate: server.pem, key: server.key, client_authority: ca.pem}"
    file.write_text(f"ingest:\n  grpc: {{tls: {tls}}}\n  http: {{tls: {tls}}}\n  token: {TOKEN}\n")
    with serving(tmp_path_factory.mktemp("tls-house") / "data", "--config", str(file)) as house:
        yield house


def post(address: str, tls: ssl.SSLContext | None, token: str) -> int:
    """The status of one request."""
    port = int(address.rpartition(":")[2])
    if tls is None:
        connection = http.client.HTTPConnection("localhost", port, timeout=20)
    else:
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=tls)
    headers = {"Content-Type": PROTOBUF, "Authorization": f"Bearer {token}"}
    with closing(connection):
        connection.request("POST", "/v1/traces", request("http").SerializeToString(), headers)
        return connection.getresponse().status


def test_only_senders_with_certificate_and_token_get_in(house: House, authority: Authority) -> None:
    """Both transports: no TLS, no certificate, no token are each refused; with all of them a request is stored."""
    address = house.addresses["http"]
    assert post(address, authority.client("sender"), TOKEN) == 200
    assert post(address, authority.client("sender"), "wrong") == 401
    for context in (None, authority.client()):
        with pytest.raises((OSError, http.client.HTTPException)):
            post(address, context, TOKEN)
    target = f"localhost:{house.addresses['grpc'].rpartition(':')[2]}"
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    pair = ((authority.folder / "sender.key").read_bytes(), (authority.folder / "sender.pem").read_bytes())
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(authority.root.read_bytes(), *pair)) as channel:
        TraceServiceStub(channel).Export(request("grpc"), timeout=20, metadata=metadata)
    stranger = grpc.ssl_channel_credentials(authority.root.read_bytes())
    with grpc.secure_channel(target, stranger) as channel, pytest.raises(grpc.RpcError):
        TraceServiceStub(channel).Export(request("stranger"), timeout=5, metadata=metadata)
    rows = house.wait_for("SELECT DISTINCT SpanName AS name FROM otel_traces ORDER BY name", lambda rows: len(rows) > 1)
    assert [row["name"] for row in rows if not row["name"].startswith("tokentide")] == ["grpc", "http"]


def test_our_own_commands_get_in(house: House, tmp_path: Path) -> None:
    """`ingest` and `doctor` need no certificate: there is a listener for this machine that always asks for a token."""
    (tmp_path / "file.traces.pb").write_bytes(request("from a file").SerializeToString())
    sent = tokentide("ingest", tmp_path, "--data-dir", house.data_dir, cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    house.wait_for("SELECT 1 FROM otel_traces WHERE SpanName = 'from a file'")
    examined = tokentide("doctor", "--data-dir", house.data_dir, cwd=tmp_path)
    assert "a probe span was acknowledged" in examined.stdout, examined.stdout + examined.stderr
    local = house.addresses["local"]
    assert local.startswith("127.0.0.1:")
    assert post(local, None, "wrong") == 401
    assert post(local, None, "") == 401


def test_unusable_files_stop_the_start(authority: Authority, tmp_path: Path) -> None:
    """A key that belongs to another certificate: one sentence, exit code 1, nothing listens."""
    folder = authority.folder
    pair = {"CERTIFICATE": "server.pem", "KEY": "sender.key"}
    variables = {f"TOKENTIDE_INGEST__GRPC__TLS__{name}": str(folder / file) for name, file in pair.items()}
    done = tokentide("serve", "--data-dir", tmp_path / "data", "--grpc-port", "0", cwd=tmp_path, **variables)
    assert done.returncode == 1
    assert "key values mismatch" in done.stderr and "Traceback" not in done.stderr
