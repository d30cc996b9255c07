"""The ClickHouse HTTP interface as a protocol: compression, sessions, settings, streams, users, disconnects."""

from __future__ import annotations

import gzip
import http.client
import json
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.endpoint import packing
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.packing import packer, unpacked, zstd
from otel_exporter.endpoint.sessions import Sessions
from tests.wire.endpoint_door import READER, WRITER, ask, request

HEAD = "INSERT INTO otel.otel_logs (Timestamp, Body) FORMAT JSONEachRow\n"
MOST = 1 << 20


def natively(data: bytes) -> bytes:
    """As clickhouse-go sends it."""
    return packer("", native=True)[1].compress(data)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "native": natively,
}


def unpack(name: str, body: bytes, most: int = MOST) -> bytes:
    return unpacked(body, "" if name == "native" else name, native=name == "native", most=most)


@given(data=st.binary(max_size=3000), name=st.sampled_from(sorted(ENCODERS)))
def test_what_was_packed_is_unpacked(data: bytes, name: str) -> None:
    """Every coding gives back what went in, of two frames or blocks too, and what our own packers made."""
    assert unpack(name, ENCODERS[name](data)) == data
    if name != "deflate":
        assert unpack(name, ENCODERS[name](data) + ENCODERS[name](b"x" + data)) == data + b"x" + data
    _, ours = packer("" if name == "native" else name, native=name == "native")
    assert unpack(name, ours.compress(data) + ours.compress(b"end") + ours.flush()) == data + b"end"


@given(data=st.binary(min_size=200, max_size=400), name=st.sampled_from(sorted(ENCODERS)), at=st.floats(0, 0.99))
def test_damaged_bodies_are_faults(data: bytes, name: str, at: float) -> None:
    """A body that ends early is refused in ClickHouse's words, never with another exception; so is a changed block."""
    packed = ENCODERS[name](data)
    place = int(at * len(packed))
    if place:
        with pytest.raises(Fault):
            unpack(name, packed[:place])
    changed = bytearray(packed)
    changed[place] ^= 0x55
    try:
        unpack(name, bytes(changed))
    except Fault:
        return
    assert name != "native"  # its checksum tells


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_bombs_are_refused_cheaply(name: str) -> None:
    """64 MiB of zeros in a small body are refused with 413 for far less memory than they would take."""
    bomb = ENCODERS[name](bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(Fault) as refused:
        unpack(name, bomb, 8 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 24 << 20


def test_a_block_that_lies_about_its_size_is_refused() -> None:
    """A native block whose head names 4 GiB, or another size than it has, is refused, whatever its checksum."""
    good = natively(b"a" * 1000)
    for size in (999, 1001, 0, 0xFFFFFFFF):
        block = good[16:21] + struct.pack("<I", size) + good[25:]
        with pytest.raises(Fault):
            unpack("native", packing._checksum(block) + block)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_inserts_and_answers_travel_compressed(address: str, name: str) -> None:
    """Rows are inserted from, and answers given in, every coding; rows with blank lines arrive as rows."""
    row = json.dumps({"Timestamp": 1, "Body": f"packed {name}\n\nDROP TABLE otel.otel_logs"}).encode()
    native = {"decompress": "1"} if name == "native" else {}
    coded = {} if name == "native" else {"Content-Encoding": name}
    assert ask(address, ENCODERS[name](row), WRITER | coded, query=HEAD, **native)[0] == 200
    wanted = {} if name == "native" else {"Accept-Encoding": name}
    asked = {"compress": "1"} if name == "native" else {}
    sql = f"SELECT count() FROM otel.otel_logs WHERE startsWith(Body, 'packed {name}')"
    assert unpack(name, ask(address, sql, READER | wanted, **asked)[2]) == b"1\n"


def test_settings_are_bounded_not_escaped(address: str) -> None:
    """More time than there is means what there is, less is kept; read-only may be asked for; no bound is refused."""
    setting = "SELECT getSetting('max_execution_time')"
    assert ask(address, setting, max_execution_time="1")[2] == b"1\n"
    assert ask(address, setting, max_execution_time="3600")[2] == b"2\n"
    assert ask(address, "SELECT 1", readonly="1")[2] == ask(address, "SELECT 1", readonly="2")[2] == b"1\n"
    assert ask(address, "SELECT 1", max_memory_usage="0")[1] == "452"
    assert ask(address, "SELECT 1", format_schema_path="/etc")[1] == "452"
    assert ask(address, "SELECT toDateTime(0)", session_timezone="Asia/Tokyo")[2] == b"1970-01-01 09:00:00\n"


def test_answers_are_in_utc_and_errors_in_the_asker_s_words(address: str) -> None:
    """Whatever the machine's time zone, moments are UTC; a syntax error quotes the asker's SQL, not how we parse."""
    assert ask(address, "SELECT timezone(), toDateTime(0)")[2] == b"UTC\t1970-01-01 00:00:00\n"
    _, code, text = ask(address, "SELECT 'x")
    assert code == "62"
    assert b"not closed" in text
    assert b"formatQuery" not in text
    assert ask(address, b"SELECT 1\0; DROP TABLE otel.otel_logs")[1] == "62"


def test_databases(address: str) -> None:
    """Bare names mean our database, whichever way a client names it; others are refused."""
    for database in ("otel", "default", ""):
        assert ask(address, "SELECT currentDatabase()", database=database)[2] == b"otel\n"
    assert ask(address, "SELECT * FROM processes", database="system")[1] == "497"
    sql = "SELECT count() FROM {d:Identifier}.{t:Identifier}"
    assert ask(address, sql, param_d="system", param_t="processes")[1] == "497"
    assert ask(address, sql, param_d="otel", param_t="genai_ledger")[2] == b"0\n"


def test_sessions_keep_settings(address: str) -> None:
    """SET lasts in its session, for its user only; an unknown session that must exist is 372."""
    zone = "SELECT toDateTime(0)"
    assert ask(address, "SET session_timezone = 'Asia/Tokyo'", session_id="a", session_timeout="30")[0] == 200
    assert ask(address, zone, session_id="a", session_check="1")[2] == b"1970-01-01 09:00:00\n"
    assert ask(address, zone)[2] == b"1970-01-01 00:00:00\n"
    assert ask(address, zone, WRITER, session_id="a")[2] == b"1970-01-01 00:00:00\n"
    assert ask(address, zone, session_id="b", session_check="1")[1] == "372"
    assert ask(address, "SET max_execution_time = 0", session_id="a")[1] == "452"
    assert ask(address, "SET readonly = 0", session_id="a")[1] == "164"
    assert ask(address, "SELECT 1", session_id="a", session_timeout="999999")[1] == "374"


def test_sessions_end_and_lock() -> None:
    """A session in use is 373; an ended one is a new one."""
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    with sessions.of("u", {"session_id": "s", "session_timeout": "10"}) as session:
        session.settings["x"] = "1"
        with pytest.raises(Fault) as locked, sessions.of("u", {"session_id": "s"}):
            pass
        assert locked.value.code == 373
    now[0] = 9
    with sessions.of("u", {"session_id": "s", "session_timeout": "10"}) as session:
        assert session.settings == {"x": "1"}
    now[0] = 20
    with sessions.of("u", {"session_id": "s"}) as session:
        assert session.settings == {}


def test_large_answers_stream(address: str) -> None:
    """An answer far over the bound of whole ones comes through in a format that streams, and is right."""
    status, _, body = ask(address, "SELECT number, repeat('x', 100) FROM numbers(300000)")
    lines = body.splitlines()
    assert (status, len(lines), len(body) > 30_000_000) == (200, 300_000, True)
    assert lines[-1] == b"299999\t" + b"x" * 100
    assert ask(address, "SELECT number FROM numbers(3000000)", wait_end_of_query="1")[1] == "396"


def test_a_failure_in_the_middle_is_never_taken_for_the_end(address: str) -> None:
    """A query that fails after its first rows ends with ClickHouse's framed exception and a broken body."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("POST", "/", "SELECT throwIf(number = 3000000) FROM numbers(4000000)", READER)
        response = connection.getresponse()
        tag = response.getheader("X-ClickHouse-Exception-Tag")
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
    assert response.status == 200
    assert tag
    tail = broken.value.partial[-1000:]
    assert b"\r\n__exception__\r\n" + tag.encode() + b"\r\nCode: 395." in tail
    assert tail.endswith(tag.encode() + b"\r\n__exception__\r\n")


def test_a_client_that_goes_away_frees_its_place(address: str) -> None:
    """Twelve clients that ask something endless and hang up leave the interface free at once, not after the limit."""
    for _ in range(12):
        with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            connection.request("POST", "/", "SELECT count() FROM system.numbers", READER)
            time.sleep(0.02)
    began = time.monotonic()
    assert ask(address, "SELECT 1")[2] == b"1\n"
    assert time.monotonic() - began < 2 * 12 / 4  # what they would take, four at a time, two seconds each


def test_headers_say_what_happened(address: str) -> None:
    """Query id, format, time zone and real counts are in the headers; GET does not insert."""
    headers, body = request(address, "GET", "/?query=SELECT+number+FROM+numbers(10)+FORMAT+JSONEachRow&query_id=mine")
    summary: dict[str, Any] = json.loads(headers["X-ClickHouse-Summary"])
    assert (headers["X-ClickHouse-Query-Id"], headers["X-ClickHouse-Format"]) == ("mine", "JSONEachRow")
    assert (headers["X-ClickHouse-Timezone"], len(body.splitlines())) == ("UTC", 10)
    assert (summary["read_rows"], summary["result_rows"], summary["result_bytes"]) == ("10", "10", str(len(body)))
    assert request(address, "GET", "/ping")[1] == b"Ok.\n"
    headers, _ = request(address, "GET", "/?query=INSERT+INTO+otel_logs+(Body)+VALUES+('x')", WRITER)
    assert headers["X-ClickHouse-Exception-Code"] == "164"
    headers, _ = request(address, "POST", "/?query=INSERT+INTO+otel_logs+(Body)+VALUES+('x'),('y')", WRITER)
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "2"


def test_bodies_are_bounded(address: str) -> None:
    """A reader's body over 1 MiB is refused with 413 before it is read; so is a form with files."""
    assert ask(address, b"SELECT 1 -- " + b"x" * (2 << 20))[0] == 413
    assert (
        ask(address, gzip.compress(b"SELECT 1 -- " + bytes(8 << 20)), READER | {"Content-Encoding": "gzip"})[0] == 413
    )
    form = '--b\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\n1\r\n--b--\r\n'
    headers = READER | {"Content-Type": "multipart/form-data; boundary=b"}
    assert ask(address, form, headers, query="SELECT 1", t_structure="a UInt8")[1] == "48"


def test_many_at_once_are_all_answered(address: str) -> None:
    """Sixteen clients at once, four of them with endless queries, each get their own answer."""
    endless = "SELECT count() FROM system.numbers"
    asked = [endless if number % 4 == 0 else f"SELECT {number}" for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda sql: ask(address, sql), asked))
    for number, (status, code, body) in enumerate(answers):
        assert (status, code) == (408, "159") if number % 4 == 0 else body == f"{number}\n".encode()


def test_false_friends_are_let_through(address: str) -> None:
    """Functions, columns and texts that look like what is refused are not refused."""
    for sql in (
        "SELECT domain('http://a.example/file(1)'), URLPathHierarchy('http://a.example/x/y'), URLHash('a')",
        "SELECT 'INTO OUTFILE', 'SETTINGS a = 1', 'system.processes', 'SELECT * FROM url()'",
        "SELECT 1 AS `INTO OUTFILE`, 2 AS `file`, 3 AS `default`, 4 AS url",
        "SELECT format('{}', 'x'), merge FROM (SELECT 1 AS merge)",
        "SELECT name FROM system.columns WHERE database = 'otel' LIMIT 1",
        "SELECT number FROM numbers(10) WHERE number IN (SELECT number FROM numbers(3)) -- a comment; with words",
        "SHOW DATABASES",  # what Grafana's plugin asks, from here
        'SHOW TABLES FROM "otel"',
        'DESC TABLE "otel"."otel_traces"',
        "SELECT name, type, table FROM system.columns WHERE database = 'otel'",
        "SELECT name FROM system.functions LIMIT 3",
        'WITH 1 AS a, (SELECT min(Start) FROM "otel"."otel_traces_trace_id_ts" WHERE TraceId != \'\') AS t SELECT a, t',
        "SELECT toStartOfInterval(started_at, INTERVAL 60 second) AS time, count() FROM genai_calls GROUP BY 1",
        "SELECT count() FROM genai_calls WHERE started_at BETWEEN fromUnixTimestamp64Milli(0) AND toDateTime(1)",
        "DESCRIBE TABLE otel.otel_traces",
        "SHOW CREATE TABLE otel.otel_traces",
        "EXPLAIN indexes = 1 SELECT * FROM otel.otel_traces",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH t AS (SELECT 1 AS a) SELECT a, t.a FROM t",
    ):
        status, _, body = ask(address, sql)
        assert status == 200, (sql, body)


def test_forms_carry_question_and_parameters(address: str) -> None:
    """A multipart form's fields are read like parameters of the URL."""
    parts = {"query": "SELECT {a:String}, {b:UInt8}", "param_a": "x'; DROP", "param_b": "7"}
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    headers = READER | {"Content-Type": "multipart/form-data; boundary=b"}
    assert ask(address, body + "--b--\r\n", headers)[2] == b"x\\'; DROP\t7\n"


def test_bytes_in_flight_are_bounded(address: str) -> None:
    """When unfinished bodies hold all the room, the next is told to come back; when they go, there is room again."""
    with ExitStack() as slow:
        for _ in range(4):
            connection = slow.enter_context(closing(http.client.HTTPConnection(address, timeout=30)))
            connection.putrequest("POST", "/")
            for name, value in (WRITER | {"Content-Length": str(16 << 20)}).items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(HEAD.encode() + bytes((16 << 20) - 200_000))
        time.sleep(0.2)
        assert ask(address, HEAD.encode() + bytes(8 << 20), WRITER)[:2] == (503, "202")
        assert ask(address, "SELECT 1")[0] == 200
    time.sleep(0.2)
    assert ask(address, HEAD.encode() + bytes(8 << 20), WRITER)[0] not in (200, 503)  # zeros are no rows
