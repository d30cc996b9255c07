"""The ClickHouse HTTP interface of a real `serve`, asked by the clients people use."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import polars as pl
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.e2e.house import TOKENTIDE, House, outside, serving, tokentide

pytestmark = pytest.mark.e2e
USERS = "[{name: reader, password: r}, {name: writer, password: w, role: ingest}]"
GO = Path(__file__).with_name("goclient")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data_dir = tmp_path_factory.mktemp("asked") / "data"
    with serving(data_dir, TOKENTIDE_CLICKHOUSE_HTTP__USERS=USERS) as house:
        yield house


def client(house: House, name: str) -> Any:
    host, port = house.addresses["clickhouse"].split(":")
    password = {"reader": "r", "writer": "w"}[name]
    return clickhouse_connect.get_client(host=host, port=int(port), username=name, password=password, database="otel")


@pytest.mark.parametrize("compress", [True, "lz4", "zstd", "gzip", False])
def test_clickhouse_connect(house: House, compress: str | bool) -> None:
    """clickhouse-connect asks with parameters and settings, in rows, streams, data frames and Arrow, and inserts."""
    with closing(client(house, "writer")) as writer:
        body = f"by connect {compress}\n\n"
        writer.insert("otel_logs", [[body]] * 3, column_names=["Body"])
        rows = json.dumps({"Body": body}).encode() * 2
        writer.raw_insert("otel.otel_logs", ["Body"], rows, fmt="JSONEachRow")
    with closing(client(house, "reader")) as reader:
        sql = "SELECT count() FROM otel_logs WHERE Body = {body:String}"
        assert reader.query(sql, parameters={"body": body}).result_rows == [(5,)]
        assert reader.command("SELECT toDateTime(0)", settings={"session_timezone": "Asia/Tokyo"})[11:] == "09:00:00"
        with reader.query_rows_stream("SELECT number FROM numbers(200000)") as stream:
            assert sum(number for (number,) in stream) == 199999 * 100000
        table = reader.query_arrow("SELECT number, toDecimal64('1.25', 12) AS cost FROM numbers(4)")
        assert pl.DataFrame(pl.from_arrow(table))["number"].to_list() == [0, 1, 2, 3]
        assert reader.query_df("SELECT number FROM numbers(4)")["number"].sum() == 6
        with pytest.raises(DatabaseError, match="164"):
            reader.insert("otel_logs", [[body]], column_names=["Body"])
        with pytest.raises(DatabaseError, match="497"):
            reader.query("SELECT * FROM url('http://127.0.0.1:1/')")


def test_curl(house: House) -> None:
    """curl asks by GET and POST, compressed, and sees ClickHouse's status and code for a wrong password."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl: apt-get install curl")
    url = f"http://{house.addresses['clickhouse']}/"

    def curl(*arguments: str) -> str:
        return subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, check=True).stdout

    assert curl("--user", "reader:r", url, "--data-binary", "SELECT 1 + 1") == "2\n"
    assert curl("--compressed", f"{url}?user=reader&password=r&query=SELECT+version()+FORMAT+JSON").startswith("{")
    wrong = curl("--include", "--user", "reader:x", url, "--data-binary", "SELECT 1")
    assert wrong.startswith("HTTP/1.1 403")
    assert "X-ClickHouse-Exception-Code: 516" in wrong


@pytest.fixture(scope="module")
def goclient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built."""
    if shutil.which("go") is None:
        pytest.skip("needs Go: https://go.dev/doc/install")
    program = tmp_path_factory.mktemp("go") / "goclient"
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=GO, check=True)
    return program


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first build fetches and compiles clickhouse-go
@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd"])
def test_clickhouse_go(house: House, goclient: Path, compression: str) -> None:
    """clickhouse-go reads 200,000 rows of many types and inserts; Grafana compresses by gzip, the Collector by lz4."""
    command = [str(goclient), house.addresses["clickhouse"], "writer", "w", compression]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "server": "tokentide",
        "revision": 0,
        "count": 199_990,
        "sum": sum(range(10, 200_000)),
        "refused": 164,
        "unknown": 47,
        "stored": 1000,
    }


def ask(address: str, sql: str, **headers: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("POST", "/", sql, headers)
        response = connection.getresponse()
        return response.status, response.read()


def test_without_users_this_machine_reads(tmp_path: Path) -> None:
    """Without users `default` only reads; a page that calls us by its own name is refused; off is off."""
    with serving(tmp_path / "data") as house:
        address = house.addresses["clickhouse"]
        assert ask(address, "SELECT currentDatabase()") == (200, b"otel\n")
        assert ask(address, "SELECT 1", **{"X-ClickHouse-User": "default", "X-ClickHouse-Key": "x"})[0] == 403
        assert b"Code: 164." in ask(address, "INSERT INTO otel_logs (Body) VALUES ('x')")[1]
        for name in ("evil.example", "evil.example:8123", "127.0.0.1.evil.example"):
            assert ask(address, "SELECT 1", Host=name)[0] == 403
        assert ask(address, "SELECT 1", Host="localhost:8123")[0] == 200
        taken = tokentide("serve", "--data-dir", "other", "--clickhouse-port", address.rpartition(":")[2],
                          *("--grpc-port", "0", "--http-port", "0", "--health-port", "0"), cwd=tmp_path)  # fmt: skip
        assert (taken.returncode, address in taken.stderr) == (1, True), taken.stderr
    with serving(tmp_path / "off", TOKENTIDE_CLICKHOUSE_HTTP__ENABLED="false") as house:
        assert "clickhouse" not in house.addresses


def test_a_public_address_needs_users(tmp_path: Path) -> None:
    """An address other machines reach is refused without users, and allowed with them or with `insecure`."""
    (tmp_path / "open.yaml").write_text("clickhouse_http: {host: 0.0.0.0}\n")
    refused = tokentide("config", "check", "open.yaml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "clickhouse_http.host" in refused.stderr
    (tmp_path / "users.yaml").write_text(f"clickhouse_http: {{host: 0.0.0.0, users: {USERS}}}\n")
    assert tokentide("config", "check", "users.yaml", cwd=tmp_path).returncode == 0
    shown = tokentide("config", "show", "--config", "users.yaml", cwd=tmp_path)
    assert "password: r" not in shown.stdout
    (tmp_path / "mine.yaml").write_text("clickhouse_http: {users: [{name: a}]}\n")
    assert "password" in tokentide("config", "check", "mine.yaml", cwd=tmp_path).stderr


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_query_prints_what_programs_read(house: House, form: str, tmp_path: Path) -> None:
    """`tokentide query --format` gives a running serve's answer as JSON, CSV or Parquet, with its types in Parquet."""
    sql = (
        "SELECT toUInt64(number) AS n, toDecimal64('1.5', 3) AS cost, NULL::Nullable(String) AS nothing FROM numbers(2)"
    )
    command = [TOKENTIDE, "query", sql, "--format", form, "--data-dir", str(house.data_dir)]
    ran = subprocess.run(command, cwd=tmp_path, env=outside(), capture_output=True, check=True)
    (tmp_path / "answer").write_bytes(ran.stdout)
    if form == "json":
        assert json.loads(ran.stdout) == [{"n": n, "cost": "1.5", "nothing": None} for n in (0, 1)]
    elif form == "csv":
        assert ran.stdout == b"n,cost,nothing\n0,1.5,\n1,1.5,\n"
    else:
        frame = pl.read_parquet(tmp_path / "answer")
        assert (frame.schema["n"], frame["n"].to_list()) == (pl.UInt64, [0, 1])
        assert frame.schema["cost"] == pl.Decimal(18, 3)


def test_a_query_under_way_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """SIGTERM ends a serve within seconds while clients ask something endless: their queries are stopped."""
    with serving(tmp_path / "data") as house, ThreadPoolExecutor(8) as pool:
        address = house.addresses["clickhouse"]
        asked = [pool.submit(ask, address, "SELECT count() FROM system.numbers") for _ in range(8)]
        time.sleep(1)
        began = time.monotonic()
        house.stop()
        assert time.monotonic() - began < 20  # a query may take 60 seconds, eight of them 120
        for answer in asked:
            with pytest.raises(OSError, match=r"Remote end closed|reset"):
                answer.result()
