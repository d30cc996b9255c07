"""Keys, certificates and limits at the OTLP doors; TLS and keys at the ClickHouse and health doors."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.config.section import KEYS_ARE_ASKED
from otel_exporter.config.tree import HealthSettings
from otel_exporter.endpoint.door import ClickHouseDoor
from otel_exporter.endpoint.engine import Engine
from otel_exporter.endpoint.request import Sizes
from otel_exporter.endpoint.users import User, Users
from otel_exporter.health import Door as HealthDoor
from otel_exporter.identity import Directory, Keyring, Scope, keyfile
from otel_exporter.identity.keys import minted
from otel_exporter.identity.quotas import Limit, Quotas
from otel_exporter.preview.dashboards import DIRECTORY, Dashboards
from otel_exporter.preview.pages import Pages
from otel_exporter.receivers import Admission, GrpcReceiver, HttpReceiver, Tls
from processors.batch import Signal
from tests.certificates import Authority
from tests.wire.endpoint_door import BOUNDS
from tests.wire.receivers_door import EXPORT, Door, RecordingSink, counted, on_loop, post, spans
from tests.wire.test_receivers_tls import der, shown, until

MIB = 1 << 20


def new_key(path: Path, tenant: str, *scopes: Scope) -> str:
    """A key in the file, and its text."""
    key, text = minted(tenant, scopes, datetime.now(UTC))
    keyfile.change(path, lambda keys: [*keys, key])
    return text


@asynccontextmanager
async def doors(admission: Admission, tls: Tls | None = None) -> AsyncIterator[Door]:
    """Both receivers with this admission."""
    sink = RecordingSink()
    over_http = HttpReceiver("127.0.0.1", 0, admission, sink, tls)
    over_grpc = GrpcReceiver("127.0.0.1:0", admission, sink, tls)
    try:
        yield Door(sink, admission, over_http, await over_http.start(), over_grpc, await over_grpc.start())
    finally:
        await asyncio.gather(over_http.stop(1), over_grpc.stop(1))


async def sent(house: Door, key: str, body: bytes) -> tuple[int, grpc.StatusCode]:
    """HTTP status and gRPC code for the same request."""
    said = f"Authorization: Bearer {key}\r\nConnection: close\r\n" if key else "Connection: close\r\n"
    answer = await house.raw(post("/v1/traces", body, more=said))
    try:
        await house.export(body, metadata={"authorization": f"Bearer {key}"} if key else {})
    except grpc.aio.AioRpcError as error:
        return int(answer.split()[1]), error.code()
    return int(answer.split()[1]), grpc.StatusCode.OK


@on_loop
async def test_a_key_is_its_tenants_at_both_transports(tmp_path: Path) -> None:
    """With a key file: an ingest key writes as its tenant; no key, a key to query and a stranger's write nothing."""
    path = tmp_path / "keys.json"
    admission = Admission({}, MIB, MIB, 4 * MIB, keys=Keyring(path))
    a, b, reader = (new_key(path, t, s) for t, s in (("a", Scope.INGEST), ("b", Scope.INGEST), ("a", Scope.QUERY)))
    stranger = minted("a", {Scope.INGEST}, datetime.now(UTC))[1]
    async with doors(admission) as house:
        await until(lambda: admission.asks)
        for key in ("", reader, stranger):
            assert await sent(house, key, spans()) == (401, grpc.StatusCode.UNAUTHENTICATED)
        assert house.sink.accepted == []
        for tenant, key in (("a", a), ("b", b)):
            assert await sent(house, key, spans(name=tenant)) == (200, grpc.StatusCode.OK)
    assert [(tenant, body) for _, tenant, body in house.sink.accepted] == [
        (tenant, spans(name=tenant)) for tenant in "aabb"
    ]


@on_loop
async def test_over_the_rate_means_come_back(tmp_path: Path) -> None:
    """Over its rate a tenant is told when to come back, in the words of OTLP for each transport; others go on."""
    path = tmp_path / "keys.json"
    a, b = new_key(path, "a", Scope.INGEST), new_key(path, "b", Scope.INGEST)
    quotas = Quotas([Limit("a", requests_per_second=0.02, max_body_bytes=1_000)])
    limited = {"tenant": "a", "limit": "requests"}
    before, body = counted("tokentide_limited_requests_total", **limited), spans()
    async with doors(Admission({}, MIB, MIB, 4 * MIB, keys=Keyring(path), quotas=quotas)) as house:
        more = f"Authorization: Bearer {a}\r\nConnection: close\r\n"
        assert (await house.raw(post("/v1/traces", body, more=more))).startswith(b"HTTP/1.1 200")
        answer = await house.raw(post("/v1/traces", body, more=more))
        assert answer.startswith(b"HTTP/1.1 429")
        assert 40 <= int(answer.split(b"Retry-After: ")[1].split()[0]) <= 50
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await house.export(body, metadata={"authorization": f"Bearer {a}"})
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        details: dict[str, bytes] = dict(error.value.trailing_metadata() or ())  # type: ignore[call-overload]
        retry = RetryInfo()
        assert Status.FromString(bytes(details["grpc-status-details-bin"])).details[0].Unpack(retry)
        assert 40 <= retry.retry_delay.ToSeconds() <= 50
        for _ in range(3):
            assert await sent(house, b, body) == (200, grpc.StatusCode.OK)
    assert counted("tokentide_limited_requests_total", **limited) == before + 2


@on_loop
async def test_a_tenants_bound_of_a_body(tmp_path: Path) -> None:
    """A body over its tenant's bound is refused for good at both transports, told its length or not."""
    path = tmp_path / "keys.json"
    a, b = new_key(path, "a", Scope.INGEST), new_key(path, "b", Scope.INGEST)
    body = spans(padding=2_000)
    quotas = Quotas([Limit("a", max_body_bytes=1_000)])
    async with doors(Admission({}, MIB, MIB, 4 * MIB, keys=Keyring(path), quotas=quotas)) as house:
        assert await sent(house, a, body) == (413, grpc.StatusCode.RESOURCE_EXHAUSTED)
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {a}\r\nConnection: close\r\n"
        head += "Content-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await house.raw(head.encode() + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")
        assert await sent(house, b, body) == (200, grpc.StatusCode.OK)


@on_loop
async def test_a_certificate_names_a_tenant(tmp_path: Path) -> None:
    """Without a token, the name in the client certificate says whose data it writes; others are out."""
    authority = Authority(tmp_path, "server", "sender-a", "sender-c")
    tls = Tls(tmp_path / "server.pem", tmp_path / "server.key", authority.root)
    admission = Admission({}, MIB, MIB, 4 * MIB, certificates={"sender-a": "a"})

    def over_http(name: str) -> int:
        context = authority.client(name)
        with closing(http.client.HTTPSConnection("localhost", house.http_port, timeout=20, context=context)) as sender:
            sender.request("POST", "/v1/traces", spans(), {"Content-Type": "application/x-protobuf"})
            return sender.getresponse().status

    async def over_grpc(name: str) -> grpc.StatusCode:
        pair = ((tmp_path / f"{name}.key").read_bytes(), (tmp_path / f"{name}.pem").read_bytes())
        credentials = grpc.ssl_channel_credentials(authority.root.read_bytes(), *pair)
        async with grpc.aio.secure_channel(f"localhost:{house.grpc_port}", credentials) as channel:
            call = channel.unary_unary(EXPORT[Signal.TRACES])  # type: ignore[call-arg]
            try:
                await call(spans(), timeout=20)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    async with doors(admission, tls) as house:
        assert await asyncio.to_thread(over_http, "sender-a") == 200
        assert await over_grpc("sender-a") is grpc.StatusCode.OK
        assert await asyncio.to_thread(over_http, "sender-c") == 401
        assert await over_grpc("sender-c") is grpc.StatusCode.UNAUTHENTICATED
    assert [tenant for _, tenant, _ in house.sink.accepted] == ["a", "a"]


@contextmanager
def opened(data_dir: Path, users: Users, keys: Keyring, tls: Tls | None, **health: object) -> Iterator[dict[str, str]]:
    """The ClickHouse door and the health door with its dashboards, over a real engine; where they listen."""
    with Store.embedded(data_dir, memory_bytes=1 << 30) as store:
        runner.apply(store)
        sizes = Sizes(16 << 20, 32 << 20, 64 << 20)
        clickhouse = ClickHouseDoor("127.0.0.1", 0, Engine(store, BOUNDS), BOUNDS, users, sizes, tls)
        said = HealthSettings.model_validate({"port": 0, **health}, context={KEYS_ARE_ASKED: True})

        def ask(*_: object) -> bytes:
            return b'["n"]\n["UInt8"]\n[1]\n'

        pages = Pages(Dashboards(DIRECTORY), ask, str, users)
        house = HealthDoor(said, lambda: (False, ["reasons"]), ask, "run-file", str, pages, keys=keys, tls=tls)

        async def life() -> None:
            found.set_result({"clickhouse": await clickhouse.open(), **await house.open()})
            await asyncio.get_running_loop().run_in_executor(None, over.result)
            await clickhouse.close()
            await house.close()

        found: Future[dict[str, str]] = Future()
        over: Future[None] = Future()
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(lambda: asyncio.run(life()))
            try:
                yield found.result(60)
            finally:
                over.set_result(None)
                running.result(60)


def asked(
    address: str, path: str, context: ssl.SSLContext | None = None, body: str | None = None, **headers: str
) -> tuple[int, str]:
    """Status and body of one request."""
    port = int(address.rpartition(":")[2])
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if context is None
        else http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
    )
    with closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if body is None else "POST", path, body, named)
        response = connection.getresponse()
        return response.status, response.read().decode()


def basic(key: str, name: str = "") -> str:
    """As a browser sends it."""
    return "Basic " + base64.b64encode(f"{name}:{key}".encode()).decode()


def test_keys_at_the_doors_that_read(tmp_path: Path) -> None:
    """A key to query reads at both doors however it is sent, users still do, and nothing else gets an answer.

    A key whose tenant shares the directory with another is told so at both doors.
    """
    path = tmp_path / "keys.json"
    a, writer, metrics = (new_key(path, "a", scope) for scope in (Scope.QUERY, Scope.INGEST, Scope.METRICS))
    b = new_key(path, "b", Scope.QUERY)
    ring = Keyring(path)
    place = Directory(tmp_path, ring, lambda: {"a"})
    users = Users((User("boss", "secret"),), ring, place.check_reader)
    question = json.dumps({"uid": "tokentide-spend", "kind": "variable", "name": "team", "from": 1, "to": 2})
    with opened(tmp_path / "data", users, ring, None) as doors:
        clickhouse, health = doors["clickhouse"], doors["health"]
        for headers in (
            {"X_ClickHouse_Key": a},
            {"X_ClickHouse_User": "whoever", "X_ClickHouse_Key": a},
            {"Authorization": basic(a, "default")},
            {"Authorization": f"Bearer {a}"},
            {"X_ClickHouse_User": "boss", "X_ClickHouse_Key": "secret"},
        ):
            assert asked(clickhouse, "/", None, "SELECT 1", **headers) == (200, "1\n")
            assert asked(health, "/preview/query", None, question, **headers)[0] == 200
        assert asked(clickhouse, f"/?password={a}", None, "SELECT 1") == (200, "1\n")
        for wrong in ("", writer, metrics, a[:-1]):
            for headers in ({"Authorization": basic(wrong, "default")}, {"X_ClickHouse_Key": wrong}):
                assert "(AUTHENTICATION_FAILED)" in asked(clickhouse, "/", None, "SELECT 1", **headers)[1]
                for page in ("/", "/preview/dashboards"):
                    assert asked(health, page, None, None, **headers)[0] == 401
                assert asked(health, "/preview/query", None, question, **headers)[0] == 401
        assert asked(clickhouse, "/", None, "INSERT INTO otel_logs FORMAT TSV", X_ClickHouse_Key=a)[0] == 500
        status, told = asked(clickhouse, "/", None, "SELECT 1", X_ClickHouse_Key=b)
        assert status == 403 and "(ACCESS_DENIED)" in told and "other tenants" in told
        assert asked(health, "/preview/query", None, question, Authorization=basic(b))[0] == 403
        for key in (a, writer, metrics):  # this door is for commands of the same user
            body = json.dumps({"sql": "SELECT 1"})
            assert asked(health, "/api/query", None, body, Authorization=f"Bearer {key}")[0] == 401
        assert asked(health, "/api/query", None, body, Authorization="Bearer run-file")[0] == 200


def test_metrics_at_a_public_address_need_a_key(tmp_path: Path) -> None:
    """Bound where others get: metrics and the reasons of not being ready need a key; probes do not."""
    path = tmp_path / "keys.json"
    metrics, query = new_key(path, "a", Scope.METRICS), new_key(path, "a", Scope.QUERY)
    ring = Keyring(path)
    with opened(tmp_path / "data", Users((), ring), ring, None, host="0.0.0.0") as doors:
        health = doors["health"]
        assert asked(health, "/metrics")[0] == 401
        assert asked(health, "/metrics", Authorization=f"Bearer {query}")[0] == 401
        assert "tokentide_" in asked(health, "/metrics", Authorization=f"Bearer {metrics}")[1]
        assert asked(health, "/healthz") == (200, "alive\n")
        assert asked(health, "/readyz") == (503, "not ready\n")
        assert asked(health, "/readyz", Authorization=f"Bearer {metrics}") == (503, "reasons\n")


def test_the_doors_that_read_speak_tls_and_renew(tmp_path: Path) -> None:
    """Both speak TLS only, show a renewed certificate without a restart, and let commands of this machine in beside."""
    authority = Authority(tmp_path / "ca", "server", "renewed")
    certificate, key = tmp_path / "live.pem", tmp_path / "live.key"
    shutil.copy(authority.folder / "server.pem", certificate)
    shutil.copy(authority.folder / "server.key", key)
    path = tmp_path / "keys.json"
    text = new_key(path, "a", Scope.QUERY)
    ring = Keyring(path)
    first, second = der(certificate), der(authority.folder / "renewed.pem")
    with opened(tmp_path / "data", Users((), ring), ring, Tls(certificate, key)) as doors:
        for address, page in ((doors["clickhouse"], "/ping"), (doors["health"], "/healthz")):
            port = int(address.rpartition(":")[2])
            assert asked(address, page, authority.client())[0] == 200
            assert shown(port, authority.client()) == first
            with pytest.raises((OSError, http.client.HTTPException)):
                asked(address, page)
        assert asked(doors["clickhouse"], "/", authority.client(), "SELECT 1", X_ClickHouse_Key=text) == (200, "1\n")
        assert doors["local_health"].startswith("127.0.0.1:") and asked(doors["local_health"], "/healthz")[0] == 200
        shutil.copy(authority.folder / "renewed.pem", certificate)
        shutil.copy(authority.folder / "renewed.key", key)
        for name in ("clickhouse", "health"):
            port = int(doors[name].rpartition(":")[2])
            asyncio.run(until(lambda at=port: shown(at, authority.client()) == second))  # type: ignore[misc]


def test_client_certificates_at_the_doors_that_read(tmp_path: Path) -> None:
    """With a client authority, nobody without a certificate gets as far as a request."""
    authority = Authority(tmp_path / "ca", "server", "reader")
    folder = authority.folder
    ring = Keyring(tmp_path / "keys.json")
    tls = Tls(folder / "server.pem", folder / "server.key", authority.root)
    with opened(tmp_path / "data", Users((), ring), ring, tls) as doors:
        for address, page in ((doors["clickhouse"], "/ping"), (doors["health"], "/metrics")):
            assert asked(address, page, authority.client("reader"))[0] == 200
            with pytest.raises((OSError, http.client.HTTPException)):
                asked(address, page, authority.client())
