"""Which statements the endpoint runs: one that only reads tables, or one insert into an `otel_*` table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otel_exporter.endpoint.faults import Fault

_READING: Final = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "("})
#: A text or a quoted name, whichever begins first: a quote inside the other is no quote.
_QUOTED: Final = re.compile(r"""(['"`])((?:[^\\]|\\.)*?)\1""", re.DOTALL)
#: Functions that reach files, other machines, programs or memory other than tables.
_REACHING: Final = re.compile(
    r"\b(file\w*|url\w*|s3\w*|gcs|oss|cosn|hdfs\w*|azureBlobStorage\w*|remote\w*|cluster\w*|mysql|postgresql|mongodb"
    r"|redis|sqlite|odbc|jdbc|executable|iceberg\w*|deltaLake\w*|hudi\w*|paimon\w*|input|python|dictionary"
    r"|catboostEvaluate|arrowFlight|ytsaurus|bigquery|eval|fuzzQuery"
    r"|ai(?:Redact|Similarity|Filter|Classify|Embed|Extract|Generate|Translate))\s*\(",
    re.IGNORECASE,
)
_FORMAT: Final = re.compile(r"\bFORMAT (\w+)$")
_NAME: Final = r"(?:\w+|`\w+`)"
_INSERT: Final = re.compile(
    rf"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:(?P<database>{_NAME})\s*\.\s*)?(?P<table>{_NAME})\s*"
    rf"(?:\((?P<columns>[\w`.,\s]+)\))?\s*(?:FORMAT\s+(?P<format>\w+)(?:\s*;)?[ \t]*(?:\r?\n|$)|(?P<values>VALUES)\b)",
    re.IGNORECASE | re.ASCII,
)
#: Formats that only carry values. `Values` is read without evaluating expressions (see `engine`).
_CARRIES: Final = frozenset(
    {"Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "JSONEachRow", "JSONCompactEachRow",
     "TabSeparated", "TSV", "CSV", "CSVWithNames", "TabSeparatedWithNames", "Arrow", "ArrowStream", "Parquet", "Values"}
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """One statement that only reads, as ClickHouse's parser writes it."""

    sql: str
    format: str | None


@dataclass(frozen=True)
class Insert:
    """One insert, put together from checked names only; the rows begin at ``data_at`` of the request's text."""

    table: str
    columns: tuple[str, ...]
    format: str
    data_at: int


def is_insert(text: str) -> bool:
    """Whether ``text`` begins like an insert."""
    return text.lstrip()[:6].upper() == "INSERT"


def insert(text: str) -> Insert:
    """Read the head of an insert.

    Raises:
        Fault: it is more than ``INSERT INTO otel_x (columns) FORMAT f``.
    """
    found = _INSERT.match(text)
    if found is None:
        raise Fault(
            62, "SYNTAX_ERROR", "an insert must read INSERT INTO otel_table (columns) FORMAT name, rows after it"
        )
    database, table = (found["database"] or "otel").strip("`"), found["table"].strip("`")
    if database != "otel" or not table.startswith("otel_"):
        raise Fault(497, "ACCESS_DENIED", "Not enough privileges: inserts go into the otel_* tables only")
    fmt = "Values" if found["values"] else found["format"]
    if fmt not in _CARRIES:
        raise Fault(73, "UNKNOWN_FORMAT", f"Format {fmt} is not taken here")
    columns = tuple(name.strip().strip("`") for name in (found["columns"] or "").split(",") if name.strip())
    return Insert(table, columns, fmt, found.end())


def reading(parse: Callable[[str], str], sql: str) -> Reading:
    """``sql`` as ClickHouse's parser writes it on one line.

    Args:
        parse: the engine's `formatQuerySingleLine`, which raises Fault for what is not one statement.
        sql: as it was sent.

    Raises:
        Fault: it is not one statement, or may do more than read tables.
    """
    text = parse(sql)
    bare = _QUOTED.sub(_harmless, text)
    _check(bare)
    found = _FORMAT.search(bare)
    return Reading(text, found[1] if found else None)


def _check(bare: str) -> None:
    if re.search(r"\bINTO OUTFILE\b", bare):
        raise Fault(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
    first = "(" if bare.startswith("(") else bare.split(" ", 1)[0]
    if first not in _READING or "PARALLEL WITH" in bare:
        raise Fault(164, "READONLY", "default: Cannot execute query in readonly mode")
    if _REACHING.search(bare):
        raise Fault(497, "ACCESS_DENIED", "Not enough privileges: only tables can be read here")
    if re.search(r"\bSETTINGS \w+ = ", bare):
        raise Fault(164, "READONLY", "Cannot modify settings in the SQL: send them as parameters of the request")


def _harmless(quoted: re.Match[str]) -> str:
    """Nothing for a text; a quoted name stays a name, so that a quoted function is still seen."""
    if quoted[1] == "'":
        return "''"
    return quoted[2] if quoted[2].isidentifier() else "x"
