"""Tenant A can neither write as nor read B: a real `serve`, every door, and our own commands."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from otel_exporter.identity import Scope, keyfile
from otel_exporter.identity.keys import minted
from tests.certificates import Authority
from tests.e2e.house import PATIENCE, PROTOBUF, House, serving, tokentide
from tests.e2e.test_shutdown import request

pytestmark = pytest.mark.e2e
QUESTION = json.dumps({"uid": "tokentide-spend", "kind": "variable", "name": "team", "from": 1, "to": 2})


class Keys(NamedTuple):
    """Tenant a's keys, one a scope; one of b that made its way into a's file; one of b's own directory."""

    writer: str
    reader: str
    intruder: str
    stranger: str


def made(data_dir: Path, *arguments: str) -> dict[str, str]:
    """A key made by the command."""
    ran = tokentide("keys", "create", *arguments, "--format", "json", "--data-dir", data_dir, cwd=data_dir.parent)
    assert ran.returncode == 0, ran.stderr
    (key,) = json.loads(ran.stdout)
    return dict(key)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Keys]]:
    """The directory of tenant a, with its keys."""
    top = tmp_path_factory.mktemp("tenants")
    mine = top / "a"
    writer, reader = (made(mine, "--tenant", "a", "--scope", scope)["key"] for scope in ("ingest", "query"))
    key, intruder = minted("b", {Scope.INGEST}, datetime.now(UTC))
    keyfile.change(mine / "keys.json", lambda kept: [*kept, key])
    yield mine, Keys(writer, reader, intruder, made(top / "b", "--tenant", "b")["key"])


@pytest.fixture(scope="module")
def house(keys: tuple[Path, Keys]) -> Iterator[House]:
    """A serve over it; TLS where there are questions."""
    data_dir, _ = keys
    authority = Authority(data_dir.parent / "tls", "server")
    variables = {
        f"TOKENTIDE_{section}__TLS__{name}": str(authority.folder / file)
        for section in ("CLICKHOUSE_HTTP", "HEALTH")
        for name, file in (("CERTIFICATE", "server.pem"), ("KEY", "server.key"))
    }
    with serving(data_dir, **variables) as house:
        yield house


def over_http(house: House, key: str, body: ExportTraceServiceRequest) -> int:
    """The status of one request."""
    named = {"authorization": f"Bearer {key}"} if key else {}
    return house.post("/v1/traces", body.SerializeToString(), PROTOBUF, **named)[0]


def over_grpc(house: House, key: str, body: ExportTraceServiceRequest) -> grpc.StatusCode:
    """The code of one call."""
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    with grpc.insecure_channel(house.addresses["grpc"]) as channel:
        try:
            TraceServiceStub(channel).Export(body, timeout=PATIENCE, metadata=metadata)
        except grpc.RpcError as error:
            return error.code()  # type: ignore[attr-defined, no-any-return]
    return grpc.StatusCode.OK


def asked(house: House, door: str, path: str, body: str, key: str) -> tuple[int, str]:
    """One question over TLS, with this key."""
    context = Authority.client(_Trusting(house.data_dir.parent / "tls" / "ca.pem"))  # type: ignore[arg-type]
    port = int(house.addresses[door].rpartition(":")[2])
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with closing(http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)) as connection:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


class _Trusting(NamedTuple):
    root: Path


def test_nobody_else_writes(house: House, keys: tuple[Path, Keys]) -> None:
    """OTLP over gRPC and HTTP: a's key writes as a, whatever the payload claims; every other one is refused."""
    _, known = keys
    codes = grpc.StatusCode
    for key, status, code in (
        ("", 401, codes.UNAUTHENTICATED),
        (known.reader, 401, codes.UNAUTHENTICATED),
        (known.stranger, 401, codes.UNAUTHENTICATED),
        (known.intruder, 403, codes.PERMISSION_DENIED),
    ):
        assert over_http(house, key, request("theirs")) == status
        assert over_grpc(house, key, request("theirs")) is code
    claiming = request("mine")
    attribute = claiming.resource_spans[0].resource.attributes.add(key="tokentide.tenant")
    attribute.value.string_value = "b"
    assert over_http(house, known.writer, claiming) == 200
    assert over_grpc(house, known.writer, request("mine too")) is codes.OK
    rows = house.wait_for(
        "SELECT DISTINCT SpanName AS name, ResourceAttributes['tokentide.tenant'] AS tenant FROM otel_traces "
        "WHERE SpanName IN ('mine', 'mine too', 'theirs') ORDER BY name",
        lambda rows: len(rows) > 1,
    )
    assert rows == [{"name": "mine", "tenant": "a"}, {"name": "mine too", "tenant": "a"}]


def test_nobody_else_reads(house: House, keys: tuple[Path, Keys]) -> None:
    """ClickHouse's interface, the preview and the commands' door: only a's key to query reads, where it may."""
    _, known = keys
    over_http(house, known.writer, request("to be read"))
    house.wait_for("SELECT 1 FROM otel_traces WHERE SpanName = 'to be read'")
    sql = "SELECT uniqExact(SpanName) > 0 FROM otel_traces"
    assert asked(house, "clickhouse", "/", sql, known.reader) == (200, "1\n")
    assert asked(house, "health", "/preview/query", QUESTION, known.reader)[0] == 200
    assert asked(house, "clickhouse", "/", "INSERT INTO otel_logs FORMAT TSV", known.reader)[0] == 500
    for key in ("", known.writer, known.intruder, known.stranger):
        status, told = asked(house, "clickhouse", "/", sql, key)
        assert status == 403 and "(AUTHENTICATION_FAILED)" in told
        assert asked(house, "health", "/preview/query", QUESTION, key)[0] == 401
    for key in ("", *known):
        assert asked(house, "health", "/api/query", json.dumps({"sql": sql}), key)[0] == 401


def test_commands_through_the_running_serve(house: House, tmp_path: Path) -> None:
    """`query` of the owner sees no other tenant; `ingest` and `keys` for another tenant are refused in a sentence."""
    owner = ("--data-dir", house.data_dir)
    ran = tokentide(
        "query", "SELECT countIf(tenant != 'a') AS n FROM genai_ledger", "--format", "csv", *owner, cwd=tmp_path
    )
    assert ran.stdout.split() == ["n", "0"], ran.stderr
    (tmp_path / "file.traces.pb").write_bytes(request("from a file").SerializeToString())
    ran = tokentide("ingest", tmp_path, *owner, cwd=tmp_path)
    assert ran.returncode == 1 and "belongs to another tenant" in ran.stderr
    ran = tokentide("keys", "create", "--tenant", "b", "--scope", "query", *owner, cwd=tmp_path)
    assert ran.returncode == 1 and "used by" in ran.stderr and ran.stdout == ""


def test_a_revoked_key_stops_and_a_new_one_starts(house: House) -> None:
    """Without a restart."""
    key = made(house.data_dir, "--tenant", "a", "--scope", "ingest")
    until = time.monotonic() + PATIENCE
    while over_http(house, key["key"], request("new")) != 200:
        assert time.monotonic() < until
        time.sleep(0.2)
    tokentide("keys", "revoke", key["id"], "--data-dir", house.data_dir, cwd=house.data_dir)
    while over_http(house, key["key"], request("revoked")) != 401:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_directory_of_two_is_read_by_neither(tmp_path: Path) -> None:
    """Where a and b have written already, neither's key reads anything, and a later start still knows."""
    data_dir = tmp_path / "both"
    writers = [made(data_dir, "--tenant", tenant)["key"] for tenant in "ab"]
    with serving(data_dir) as house:
        assert [over_http(house, key, request("x")) for key in writers] == [200, 200]
    key, reader = minted("a", {Scope.QUERY}, datetime.now(UTC))
    keyfile.change(data_dir / "keys.json", lambda kept: [*kept, key])
    with serving(data_dir) as house:
        with closing(http.client.HTTPConnection(house.addresses["clickhouse"], timeout=PATIENCE)) as connection:
            connection.request("POST", "/", "SELECT 1", {"X-ClickHouse-Key": reader})
            answer = connection.getresponse()
            assert answer.status == 403 and b"data of other tenants" in answer.read()
        assert over_http(house, writers[1], request("y")) == 403


LISTENERS = ("INGEST__GRPC", "INGEST__HTTP", "CLICKHOUSE_HTTP", "HEALTH")


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_public_address_without_authentication_is_refused(tmp_path: Path, listener: str) -> None:
    """Every listener: no start without a credential, in a sentence that names the setting."""
    ran = tokentide(
        "serve", "--data-dir", tmp_path / "data", cwd=tmp_path, **{f"TOKENTIDE_{listener}__HOST": "0.0.0.0"}
    )
    assert ran.returncode == 2
    assert f"{listener.lower().replace('__', '.')}.host" in ran.stderr and "reachable from other machines" in ran.stderr


def test_public_addresses_ask_for_keys(tmp_path: Path) -> None:
    """With a key it starts, every listener on a public address, and none of them answers somebody without one."""
    made(tmp_path / "data", "--tenant", "a")
    variables = {f"TOKENTIDE_{listener}__HOST": "0.0.0.0" for listener in LISTENERS}
    with serving(tmp_path / "data", **variables) as house:
        assert over_grpc(house, "", request("nobody")) is grpc.StatusCode.UNAUTHENTICATED
        assert over_http(house, "", request("nobody")) == 401
        with closing(
            http.client.HTTPConnection(house.addresses["clickhouse"].replace("0.0.0.0", "127.0.0.1"))
        ) as asking:
            asking.request("POST", "/", "SELECT 1")
            assert asking.getresponse().status == 403
        with closing(http.client.HTTPConnection(house.addresses["health"].replace("0.0.0.0", "127.0.0.1"))) as asking:
            asking.request("GET", "/preview/dashboards")
            assert asking.getresponse().status == 401
