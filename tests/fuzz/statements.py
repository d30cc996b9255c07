"""The ClickHouse interface's guard: statements from a grammar of everything it must not let pass, asked over HTTP.

What is checked does not depend on reading the statement: no table changes, no file appears, nothing of a secret file is
in an answer, nobody connects to a listener that stands ready, and the next honest question is answered.
"""

from __future__ import annotations

import http.client
import socket
import urllib.parse
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz import wire
from tests.fuzz.journal import Journal
from tests.fuzz.seeds import kept
from tests.fuzz.target import Found
from tests.wire.endpoint_door import READER, WRITER, ask, opened

_SECRET = b"correct horse battery staple 7141"
_LOOK_EVERY = 100  # statements
_STATE = (
    "SELECT name, total_rows, create_table_query FROM system.tables WHERE database = 'otel' ORDER BY name",
    "SELECT name FROM system.databases ORDER BY name",
    "SELECT name, value FROM system.settings WHERE name IN ('readonly', 'max_execution_time', 'max_memory_usage')",
)
_EXPRESSIONS = ("1", "'a'", "count()", "number", "x", "*", "[1, 2]", "(1, 'a')", "now()", "`file`('{secret}')", "file('{secret}')", "FILE('{secret}')",
                "(SELECT {expression})", "{expression} IN ({select})", "'a' IN default.`{secret}`", "catboostEvaluate('{secret}', 1)",
                "sleepEachRow(0.01)", "{{p:String}}", "eval('SELECT 1')", "arrayMap(x -> {expression}, [1])", "toString({expression})", "if(1, {expression}, {expression})",
                "dictGet('a', 'b', 1)", "getSetting('readonly')", "currentUser()", "hostName()", "* APPLY(file)", "COLUMNS('.*') APPLY toString", "'x' AS `SETTINGS readonly = 0`")  # fmt: skip
_SOURCES = ("otel.otel_traces", "otel_logs", "genai_calls", "numbers(10)", "system.one", "system.tables", "system.processes", "default.`{secret}`", "`{secret}`",
            "file('{secret}', LineAsString)", "file('{new}', CSV, 'a String')", "url('{url}', LineAsString)", "url('file://{secret}', LineAsString)", "remote('{address}', system.one)",
            "s3('{url}', CSV)", "mysql('{address}', 'a', 'b', 'c', 'd')", "executable('cat {secret}', LineAsString, 'a String')", "merge('system', '.*')", "view({select})",
            "({select})", "({select}) AS t", "`system`.`processes`", "sqlite('{secret}', 'a')", "input('a String')", "loop({source})", "cluster('default', system.one)",
            "(EXPLAIN {select})", "values('a String', ('x'))", "generateRandom('a UInt8', 1, 1) LIMIT 1", "viewExplain('EXPLAIN', '', ({select}))", "python(a)", "format(CSV, '1')")  # fmt: skip
_SELECTS = ("SELECT {expression} FROM {source}", "SELECT {expression}", "SELECT {expression}, {expression} FROM {source} WHERE {expression}", "WITH t AS ({select}) SELECT * FROM t",
            "WITH {expression} AS y SELECT y", "{select} UNION ALL {select}", "({select})", "SELECT * FROM {source} AS a JOIN {source} AS b ON 1", "{select} SETTINGS readonly = 0",
            "{select} LIMIT 1", "SELECT * FROM {source} ARRAY JOIN [1] AS z", "{select} INTERSECT {select}", "SELECT 1 FROM {source} GROUP BY {expression} WITH TOTALS", "FROM {source} SELECT 1")  # fmt: skip
_STATEMENTS = ("{select}",) * 14 + (
            "{select} INTO OUTFILE '{new}'", "{select} FORMAT {format}", "{select} INTO OUTFILE '{new}' TRUNCATE FORMAT CSV", "EXPLAIN {select}", "EXPLAIN AST {statement}", "EXPLAIN PLAN {select}",
            "DESCRIBE TABLE {source}", "DESC {source}", "SHOW CREATE TABLE {source}", "SHOW TABLES FROM {source}", "EXISTS TABLE {source}", "CHECK TABLE otel.otel_traces",
            "DROP TABLE otel.otel_traces", "TRUNCATE TABLE otel.otel_logs", "CREATE TABLE otel.fuzz (a String) ENGINE = Memory AS {select}", "CREATE TABLE fuzz ENGINE = File(CSV, '{new}') AS {select}",
            "CREATE VIEW otel.fuzz AS {select}", "CREATE FUNCTION f AS x -> x", "CREATE DATABASE fuzz", "CREATE USER fuzz", "ALTER TABLE otel.otel_logs DELETE WHERE 1", "ALTER TABLE otel_logs ADD COLUMN z UInt8",
            "RENAME TABLE otel.otel_logs TO otel.z", "INSERT INTO otel.otel_logs {select}", "INSERT INTO otel_logs (Body) VALUES ({expression})", "INSERT INTO FUNCTION file('{new}', CSV, 'a String') {select}",
            "INSERT INTO otel.genai_ledger FORMAT JSONEachRow\n{{}}", "INSERT INTO otel_logs FROM INFILE '{secret}' FORMAT LineAsString", "SET readonly = 0", "SET max_execution_time = 0", "USE system", "USE default",
            "ATTACH TABLE otel.z", "DETACH TABLE otel.otel_logs", "OPTIMIZE TABLE otel.otel_logs FINAL", "SYSTEM FLUSH LOGS", "SYSTEM SHUTDOWN", "KILL QUERY WHERE 1", "BACKUP DATABASE otel TO File('{new}')",
            "GRANT ALL ON *.* TO default", "DELETE FROM otel.otel_logs WHERE 1", "UPDATE otel.otel_logs SET Body = '' WHERE 1", "EXCHANGE TABLES otel.otel_logs AND otel.otel_traces", "UNDROP TABLE otel.a",
            "{statement}; {statement}", "{statement} -- {statement}", "/* {statement} */ {statement}", "{select} PARALLEL WITH {statement}", "EXPLAIN SYNTAX {statement}", "BEGIN TRANSACTION", "EXECUTE AS default {select}",
            "WATCH otel.a", "MOVE USER a TO b", "SHOW {source}", "COPY otel.otel_logs TO '{new}'", "WITH t AS ({select}) INSERT INTO otel.otel_logs SELECT * FROM t", "CREATE TEMPORARY TABLE z AS {select}")  # fmt: skip
_FORMATS = (
    "CSV",
    "JSON",
    "Native",
    "RawBLOB",
    "Null",
    "Parquet",
    "Template",
    "MySQLDump",
    "PrettyCompact",
    "Nonsense",
    "LineAsString",
    "SQLInsert",
)
_MOST_DEPTH = 4


class Grammar:
    """Statements; ``names`` stand for the places they try to reach."""

    def __init__(self, random: Random, names: dict[str, str]) -> None:
        self._random = random
        self._names = names

    def statement(self) -> str:
        """One, sometimes with a mutation that knows nothing of SQL."""
        random = self._random
        sql = random.choice(kept("clickhouse")).decode() if random.random() < 0.05 else self._made("statement", 0)
        if random.random() < 0.3:
            sql = wire.scrambled(random, sql.encode(), self._made("statement", 0).encode()).decode("utf-8", "replace")
        if random.random() < 0.15:
            sql = sql.replace(" ", random.choice(("\n", "\t", "/**/", "\u00a0", " -- \n", "\0", "  ")))
        if random.random() < 0.1:
            sql = "".join(random.choice((c.lower(), c.upper())) for c in sql)
        return sql

    def _made(self, rule: str, depth: int) -> str:
        choices = {
            "statement": _STATEMENTS,
            "select": _SELECTS,
            "source": _SOURCES,
            "expression": _EXPRESSIONS,
            "format": _FORMATS,
        }[rule]
        text = self._random.choice(choices)
        if depth >= _MOST_DEPTH:
            text = {
                "statement": "SELECT 1",
                "select": "SELECT 1",
                "source": "system.one",
                "expression": "1",
                "format": "CSV",
            }[rule]
        for name, place in self._names.items():
            text = text.replace("{" + name + "}", place)
        for inner in ("statement", "select", "source", "expression", "format"):
            while "{" + inner + "}" in text:
                text = text.replace("{" + inner + "}", self._made(inner, depth + 1), 1)
        return text.replace("{{", "{").replace("}}", "}")


def statements(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Statements to the real interface over the real engine."""
    happened: Counter[str] = Counter()
    with TemporaryDirectory() as directory, closing(socket.create_server(("127.0.0.1", 0))) as trap:
        trap.setblocking(False)
        secret, new = Path(directory, "secret.csv"), Path(directory, "appeared.csv")
        secret.write_bytes(_SECRET + b"\n")
        where = f"127.0.0.1:{trap.getsockname()[1]}"
        grammar = Grammar(random, {"secret": str(secret), "new": str(new), "url": f"http://{where}/", "address": where})
        with opened(Path(directory, "data")) as address:
            head = "INSERT INTO otel.otel_logs (Timestamp, Body) FORMAT JSONEachRow\n"
            ask(address, head + '{"Timestamp": 1, "Body": "there before"}', WRITER)
            watch = Watch(address, trap, Path(directory))
            for number in range(count):
                if number % _LOOK_EVERY == 0:
                    watch.look(journal)
                    journal.batch()
                sql = grammar.statement()
                journal.begin(sql.encode())
                happened += _asked(random, address, sql)
            watch.look(journal)
    return happened


class Watch:
    """What must stay as it is."""

    def __init__(self, address: str, trap: socket.socket, directory: Path) -> None:
        self._address = address
        self._trap = trap
        self._directory = directory
        self._before = self._state()

    def _state(self) -> list[object]:
        files = sorted(path.name for path in self._directory.iterdir())
        return [files, *(ask(self._address, sql) for sql in _STATE)]

    def look(self, journal: Journal) -> None:
        """Raise Found when something changed since the beginning; the batch under way holds what did it."""
        suspects = b"\n;;\n".join(journal.under_way())
        try:
            self._trap.accept()[0].close()
        except BlockingIOError:
            pass
        else:
            raise Found("a statement reached another machine", suspects)
        if self._state() != self._before:
            raise Found("a statement changed a table, a setting or a file", suspects)


def _asked(random: Random, address: str, sql: str) -> Counter[str]:
    how = random.choice(_WAYS)
    try:
        status, code, body = how(address, sql)
    except http.client.IncompleteRead as error:  # went over a bound after it had begun: ClickHouse breaks off, too
        status, code, body = 200, None, error.partial
    except (OSError, http.client.HTTPException) as error:
        raise Found(f"no answer but {type(error).__name__}", sql.encode()) from None
    if _SECRET in body or _SECRET[8:] in body:
        raise Found("an answer holds a file's content", sql.encode())
    if status != 200 and code in (None, "1002"):  # without ClickHouse's code, or with ours for what nobody foresaw
        raise Found(f"answered {status}, code {code}", sql.encode())
    return Counter({"requests": 1, "read" if status == 200 else "refused": 1})


def _posted(address: str, sql: str) -> tuple[int, str | None, bytes]:
    return ask(address, sql)


def _in_url(address: str, sql: str) -> tuple[int, str | None, bytes]:
    return ask(address, b"", query=sql, param_p="x")


def _got(address: str, sql: str) -> tuple[int, str | None, bytes]:
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("GET", "/?" + urllib.parse.urlencode({"query": sql}), headers=READER)
        response = connection.getresponse()
        return response.status, response.getheader("X-ClickHouse-Exception-Code"), response.read()


def _halved(address: str, sql: str) -> tuple[int, str | None, bytes]:
    """Half of it in the URL, half in the body: ClickHouse puts them together."""
    middle = sql.find(" ")
    return ask(address, sql[middle + 1 :], query=sql[:middle]) if middle > 0 else ask(address, sql)


_WAYS: tuple[Callable[[str, str], tuple[int, str | None, bytes]], ...] = (
    _posted,
    _posted,
    _posted,
    _in_url,
    _got,
    _halved,
)
