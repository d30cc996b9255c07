"""Which statements the endpoint runs: one that only reads tables, or one insert into an `otel_*` table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from otel_exporter.endpoint.faults import Fault
from otel_exporter.guard import READING, bare_text

#: The only table functions: none reaches a file, another machine, a program, or tables that are not named in the SQL.
_TABLE_FUNCTIONS: Final = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateSeries", "generate_series", "generateRandom",
     "values", "null", "view"}
)  # fmt: skip
#: Views of ours that take parameters are written as table functions are.
_PARAMETER_VIEWS: Final = frozenset({"genai_counted", "genai_completeness", "genai_silence"})
#: The only tables of `system`: what there is to ask and how, not who asks what, nor anything of the machine.
_SYSTEM_TABLES: Final = frozenset(
    {"aggregate_function_combinators", "collations", "columns", "contributors", "data_skipping_indices",
     "data_type_families", "databases", "formats", "functions", "keywords", "licenses", "numbers", "numbers_mt", "one",
     "parts", "parts_columns", "projections", "settings", "table_engines", "table_functions", "tables", "time_zones",
     "zeros", "zeros_mt"}
)  # fmt: skip
_SHOWING: Final = re.compile(
    r"SHOW (?:CREATE|DATABASES|(?:FULL )?TABLES|(?:EXTENDED )?(?:FULL )?COLUMNS|INDEXES|FUNCTIONS|SETTINGS|ENGINES)\b"
)
_EXPLAINING: Final = re.compile(
    r"EXPLAIN (?:(?:AST|SYNTAX|QUERY TREE|PLAN|PIPELINE|ESTIMATE) )?(?:\w+ = \d+,? )*(?:SELECT|WITH|\()"
)
#: chDB's `default` is not among them: there, files are tables.
_DATABASES: Final = frozenset({"otel", "system", "information_schema", "INFORMATION_SCHEMA"})
_FILES_AS_TABLES: Final = re.compile(r"^(?:SHOW (?!TABLES|FULL TABLES)|EXISTS ).*\bdefault\b")
#: Functions that reach files, models or other machines; `APPLY` takes their bare name.
_REACHING: Final = re.compile(
    r"(?:\bAPPLY\s*\(?\s*(?:{names})\b|\b(?:{names})\s*\()".format(
        names="file|catboostEvaluate|eval|ai(?:Redact|Similarity|Filter|Classify|Embed|Extract|Generate|Translate)"
    ),
    re.IGNORECASE,
)
_FORMAT: Final = re.compile(r"\bFORMAT (\w+)$")
_NODE: Final = re.compile(r"^ *(Function|TableIdentifier|Identifier) (.*?)(?: \(alias .*)?(?: \(children \d+\))?$")
_TABLE_FUNCTION: Final = re.compile(r"^ *TableExpression(?: .*)?\n *Function ([^ \n]*)", re.MULTILINE)
_NAME: Final = r'(?:\w+|`\w+`|"\w+")'
_COLUMN: Final = r'(?:[\w.]+|`[\w.]+`|"[\w.]+")'
_SETTING: Final = r"\w+\s*=\s*(?:\d+|'\w*')"
_INSERT: Final = re.compile(
    rf"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:(?P<database>{_NAME})\s*\.\s*)?(?P<table>{_NAME})\s*"
    rf"(?:\((?P<columns>\s*{_COLUMN}(?:\s*,\s*{_COLUMN})*\s*)\)\s*)?"
    rf"(?:SETTINGS\s+(?P<settings>{_SETTING}(?:\s*,\s*{_SETTING})*)\s+)?"
    r"(?:FORMAT\s+(?P<format>\w+)(?:\s*;)?[ \t]*(?:\r?\n|$)|(?P<values>VALUES)\b)",
    re.IGNORECASE | re.ASCII,
)
#: Formats that only carry values. `Values` is read without evaluating expressions (see `engine`).
_CARRIES: Final = frozenset(
    {"Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "JSONEachRow", "JSONCompactEachRow",
     "TabSeparated", "TSV", "CSV", "CSVWithNames", "TabSeparatedWithNames", "Arrow", "ArrowStream", "Parquet", "Values"}
)  # fmt: skip


class Parser(Protocol):
    """ClickHouse's own parser."""

    def canonical(self, sql: str) -> str:
        """One statement on one line; Fault for what is not one statement."""

    def tree(self, canonical: str) -> str:
        """Its syntax tree, as `EXPLAIN AST` prints it, with the request's parameters put in."""


@dataclass(frozen=True)
class Reading:
    """One statement that only reads, as ClickHouse's parser writes it."""

    sql: str
    format: str | None
    readonly: Literal[1, 2] = 1

    @property
    def streams(self) -> bool:
        """Whether the engine can give its answer block by block without losing anything (totals are apart)."""
        return self.sql.startswith(("SELECT", "WITH")) and "WITH TOTALS" not in self.sql


@dataclass(frozen=True)
class Insert:
    """One insert, put together from checked names only; the rows begin at ``data_at`` of the request's text."""

    table: str
    columns: tuple[str, ...]
    format: str
    settings: dict[str, str]
    data_at: int


def is_insert(text: str) -> bool:
    """Whether ``text`` begins like an insert."""
    return text.lstrip()[:6].upper() == "INSERT"


def insert(text: str) -> Insert:
    """Read the head of an insert.

    Raises:
        Fault: it is more than ``INSERT INTO otel_x (columns) SETTINGS ... FORMAT f``.
    """
    found = _INSERT.match(text)
    if found is None:
        raise Fault(
            62, "SYNTAX_ERROR", "an insert must read INSERT INTO otel_table (columns) FORMAT name, rows after it"
        )
    database, table = _unquoted(found["database"] or "otel"), _unquoted(found["table"])
    if database not in ("otel", "default") or not table.startswith("otel_"):
        raise Fault(497, "ACCESS_DENIED", "Not enough privileges: inserts go into the otel_* tables only")
    fmt = "Values" if found["values"] else found["format"]
    if fmt not in _CARRIES:
        raise Fault(73, "UNKNOWN_FORMAT", f"Format {fmt} is not taken here")
    columns = tuple(map(_unquoted, found["columns"].split(","))) if found["columns"] else ()
    pairs = (pair.partition("=") for pair in (found["settings"] or "").split(",") if pair)
    settings = {name.strip(): value.strip().strip("'") for name, _, value in pairs}
    return Insert(table, columns, fmt, settings, found.end())


def reading(parser: Parser, sql: str) -> Reading:
    """``sql`` as ClickHouse's parser writes it on one line.

    Raises:
        Fault: it is not one statement, or may do more than read tables.
    """
    text = parser.canonical(sql)
    bare = bare_text(text)
    _check_text(bare)
    tree = parser.tree(text)
    _check_tree(tree)
    found = _FORMAT.search(bare)
    return Reading(text, found[1] if found else None, _readonly(tree))


def _check_text(bare: str) -> None:
    if re.search(r"\bINTO OUTFILE\b", bare):
        raise Fault(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
    first = "(" if bare.startswith("(") else bare.split(" ", 1)[0]
    if first not in READING or "PARALLEL WITH" in bare:
        raise Fault(164, "READONLY", "default: Cannot execute query in readonly mode")
    if (first == "SHOW" and not _SHOWING.match(bare)) or (first == "EXPLAIN" and not _EXPLAINING.match(bare)):
        raise _denied(f"this kind of {first} is not granted")
    if _REACHING.search(bare) or _FILES_AS_TABLES.search(bare):
        raise _denied("only tables can be read here")
    if re.search(r"\bSETTINGS \w+ = ", bare):
        raise Fault(164, "READONLY", "Cannot modify settings in the SQL: send them as parameters of the request")


def _check_tree(tree: str) -> None:
    """Table functions and tables of `system` are allowed by name; a line forged by a quoted name can only add names."""
    for function in _TABLE_FUNCTION.findall(tree):
        if function not in _TABLE_FUNCTIONS and function.removeprefix("otel.") not in _PARAMETER_VIEWS:
            raise _denied("this table function is not granted")
    for kind, database, table in _names(tree):
        if database == "system" and table not in _SYSTEM_TABLES:
            raise _denied("this table of the system database is not granted")
        if table and database not in _DATABASES and (kind == "TableIdentifier" or database == "default"):
            raise _denied("this database is not granted")


def _readonly(tree: str) -> Literal[1, 2]:
    """2 (tables and settings) for who asks which settings there are: under 1 all of them call themselves read-only.

    Clients believe that and send none. What 1 forbids beyond 2, table functions, such a statement must not have.
    """
    asks_settings = ("TableIdentifier", "system", "settings") in _names(tree)
    return 2 if asks_settings and not _TABLE_FUNCTION.search(tree) else 1


def _names(tree: str) -> Iterator[tuple[str, str, str]]:
    """Kind of node, and what would be database and table of every name.

    After `IN` a table is an `Identifier` like any column. A table of the current database has no table part here.
    """
    for line in tree.split("\n"):
        node = _NODE.match(line)
        if node and node[1] != "Function":
            database, _, rest = node[2].partition(".")
            yield node[1], database, rest.partition(".")[0]


def _denied(why: str) -> Fault:
    return Fault(497, "ACCESS_DENIED", f"Not enough privileges: {why}")


def _unquoted(name: str) -> str:
    return name.strip().strip('`"')
