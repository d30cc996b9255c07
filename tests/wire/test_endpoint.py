"""The ClickHouse HTTP interface, asked by ordinary clients and by attackers, over the real engine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import clickhouse_connect
import pytest

from tests.wire.endpoint_door import WRITER, ask

ATTACKS = {
    "two statements": ("SELECT 1; SELECT 2", "62"),
    "a comment hides a second": ("SELECT 1 /* ; */ -- x\n; DROP TABLE otel.otel_traces", "62"),
    "outfile": ("SELECT 1 INTO OUTFILE '/tmp/tokentide-stolen'", "358"),
    "file table": ("SELECT * FROM file('/etc/passwd', LineAsString)", "497"),
    "file function": ("SELECT file('/etc/passwd')", "497"),
    "quoted file function": ("SELECT `file`('/etc/passwd')", "497"),
    "url": ("SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')", "497"),
    "describe url": ("DESCRIBE TABLE url('http://127.0.0.1:1/', CSV)", "497"),
    "remote": ("SELECT * FROM remote('127.0.0.1', system.one)", "497"),
    "s3": ("SELECT * FROM s3('http://127.0.0.1:1/a')", "497"),
    "executable": ("SELECT * FROM executable('x', CSV, 'a String')", "497"),
    "eval": ("SELECT * FROM eval('SELECT 1')", "497"),
    "ai": ("SELECT aiGenerate('x', 'y')", "497"),
    "a file as a table": ("SELECT * FROM `/etc/passwd`", "60"),
    "a file as a table of default": ("SELECT * FROM default.`/etc/passwd`", "497"),
    "a file beside the settings": ("SELECT * FROM system.settings, default.`/etc/passwd`", "497"),
    "a file after IN": ("SELECT 'root' IN default.`/etc/passwd`", "497"),
    "a file's existence": ("EXISTS TABLE default.`/etc/passwd`", "497"),
    "a file's columns": ("SHOW CREATE TABLE `default`.`/etc/passwd`", "497"),
    "a file function beside the settings": ("SELECT file('/etc/passwd') FROM system.settings", "497"),
    "a table function beside the settings": ("SELECT * FROM system.settings, url('http://127.0.0.1:1/', CSV)", "497"),
    "set readonly": ("SET readonly = 0", "164"),
    "settings in sql": ("SELECT 1 SETTINGS readonly = 0", "164"),
    "settings in a subquery": ("SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)", "164"),
    "drop": ("DROP TABLE otel.otel_traces", "164"),
    "kill": ("KILL QUERY WHERE 1", "164"),
    "endless": ("SELECT count() FROM system.numbers", "159"),
    "huge": ("SELECT number, randomPrintableASCII(100) FROM numbers(10000000) FORMAT JSON", "396"),
    "memory": ("SELECT groupArray(number) FROM numbers(100000000)", "241"),
    "a table function that reads other tables": ("SELECT * FROM merge('system', '.*')", "497"),
    "a table function inside view": ("SELECT * FROM view(SELECT * FROM url('http://127.0.0.1:1/'))", "497"),
    "describe remote": ("DESC remote('127.0.0.1:1', system.one)", "497"),
    "a table function by override": ("EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:1', a, b, c, d) PARTITION BY x", "497"),
    "apply file": ("SELECT * APPLY file FROM (SELECT '/etc/passwd' AS a)", "497"),
    "apply file in a lambda": ("SELECT * APPLY (x -> file(x)) FROM (SELECT '/etc/passwd' AS a)", "497"),
    "what others ask": ("SELECT query FROM system.processes", "497"),
    "what others ask, quoted": ("SELECT query FROM `system`.`processes`", "497"),
    "what others ask, after IN": ("SELECT 1 WHERE 'a' IN system.user_directories", "497"),
    "what others ask, in a common table": ("WITH a AS (SELECT * FROM system.processes) SELECT * FROM a", "497"),
    "what others ask, shown": ("SHOW PROCESSLIST", "497"),
    "paths": ("SELECT path FROM system.disks", "497"),
    "another database": ("USE system", "497"),
    "set a bound": ("SET max_memory_usage = 0", "452"),
    "insert by a reader": ("INSERT INTO otel.otel_logs (Body) FORMAT JSONEachRow\n{}", "164"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_with_clickhouse_codes(address: str, attack: str) -> None:
    """Every attack ends in ClickHouse's own error code, and the next question is answered."""
    sql, code = ATTACKS[attack]
    status, got, text = ask(address, sql)
    assert (got, status == 200) == (code, False), text[:300]
    assert ask(address, "SELECT 1") == (200, None, b"1\n")
    assert not Path("/tmp/tokentide-stolen").exists()


def test_every_other_table_function_is_refused(address: str) -> None:
    """Whatever table functions this engine has, only the harmless ones get past the guard, anywhere in a statement."""
    harmless = {"numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateSeries", "generate_series",
                "generateRandom", "values", "null", "view"}  # fmt: skip
    known = set(ask(address, "SELECT name FROM system.table_functions")[2].decode().split())
    assert harmless < known
    for name in sorted(known - harmless):
        inside = f"WITH t AS (SELECT 1 FROM {name}()) SELECT 1 FROM t JOIN numbers(1) AS n ON 1"
        for sql in (f"SELECT * FROM {name}('x')", f"DESC `{name}`('x')", inside):
            assert ask(address, sql)[1] in ("497", "62"), sql


def test_every_other_system_table_is_refused(address: str) -> None:
    """Whatever tables the system database has, those that show queries, paths, keys or the machine are refused."""
    known = ask(address, "SELECT name FROM system.tables WHERE database = 'system'")[2].decode().split()
    granted = [name for name in known if ask(address, f"SELECT * FROM system.`{name}` LIMIT 0")[1] != "497"]
    assert {"columns", "databases", "functions", "one", "settings", "tables"} <= set(granted)
    telling = ("process", "quer", "disk", "user", "role", "grant", "log", "server", "stack", "named", "error", "path",
               "replica", "cluster", "dictionar", "backup", "certificate", "fail", "cache", "jemalloc")  # fmt: skip
    assert [name for name in granted if any(word in name for word in telling)] == []
    assert len(granted) < len(known) / 4


def test_functions_that_reach_out_are_refused(address: str) -> None:
    """Every function this engine files under AI, and those that read files, are refused by any spelling."""
    names = ask(address, "SELECT name FROM system.functions WHERE lower(name) LIKE 'ai%' OR alias_to LIKE 'ai%'")[2]
    reaching = [name for name in names.decode().split() if name[2:3].isupper()]
    assert "aiGenerate" in reaching
    for name in (*reaching, "file", "FILE", "`file`", "catboostEvaluate", "eval"):
        assert ask(address, f"SELECT {name}('x')")[1] == "497", name


def test_wrong_passwords_and_settings_are_refused(address: str) -> None:
    """A wrong password and a setting that escapes are refused with 516 and 452."""
    assert ask(address, "SELECT 1", {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "x"})[:2] == (403, "516")
    assert ask(address, "SELECT 1", {})[:2] == (403, "516")
    assert ask(address, "SELECT 1", max_execution_time="0")[1] == "452"
    assert ask(address, "SELECT 1", readonly="0")[1] == "164"


def test_inserted_rows_are_never_sql(address: str) -> None:
    """A blank line in the rows does not let what follows run; expressions and other tables are refused."""
    row = '{"Timestamp": 1, "Body": "endpoint"}'
    head = "INSERT INTO otel.otel_logs (Timestamp, Body) FORMAT JSONEachRow\n"
    assert ask(address, head + row, WRITER)[0] == 200
    assert ask(address, head + row + "\n\nDROP TABLE otel.otel_logs", WRITER)[0] != 200
    assert ask(address, "INSERT INTO otel_logs (Body) VALUES (file('/etc/passwd'))", WRITER)[0] != 200
    assert ask(address, "INSERT INTO otel.genai_ledger FORMAT JSONEachRow\n{}", WRITER)[1] == "497"
    assert ask(address, "INSERT INTO otel_logs SELECT * FROM otel_logs", WRITER)[1] == "62"
    assert ask(address, "INSERT INTO otel_logs FROM INFILE '/etc/passwd' FORMAT CSV", WRITER)[1] == "62"
    assert ask(address, "SELECT count() FROM otel.otel_logs WHERE Body = 'endpoint'")[2] == b"1\n"


def test_parameters_and_formats(address: str) -> None:
    """`param_x`, `default_format` and FORMAT mean what they mean to ClickHouse."""
    assert ask(address, "SELECT {a:String}", param_a="x'; DROP")[2] == b"x\\'; DROP\n"
    assert ask(address, "SELECT 1 AS a", default_format="JSONEachRow")[2] == b'{"a":1}\n'
    assert ask(address, "SELECT 1 AS a FORMAT CSVWithNames", default_format="Native")[2] == b'"a"\n1\n'


def test_clickhouse_connect_works_unchanged(address: str) -> None:
    """The ordinary HTTP client connects, asks with parameters, and inserts."""
    host, port = address.split(":")
    with closing(clickhouse_connect.get_client(host=host, port=int(port), username="writer", password="w")) as client:
        rows = client.query("SELECT number, {a:String} AS a FROM numbers(3)", parameters={"a": "é"}).result_rows
        assert rows == [(0, "é"), (1, "é"), (2, "é")]
        client.insert("otel.otel_logs", [["by client"]], column_names=["Body"])
        assert client.command("SELECT count() FROM otel.otel_logs WHERE Body = 'by client'") == 1
