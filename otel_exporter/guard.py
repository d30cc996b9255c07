"""What a question may be: one statement that only reads, and reads only tables.

ClickHouse itself enforces `readonly = 1`; what that lets through (measured on chDB 26.9: a second statement, `INTO
OUTFILE`, the scalar function `file()`, `KILL QUERY`) is refused here, on the text as ClickHouse's own parser writes it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from otel_exporter.failures import Reason, Refused

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

_READING: Final = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "("})
_SYNTAX_ERROR: Final = 62
_LITERAL: Final = re.compile(r"'(?:[^'\\]|\\.)*'")
_QUOTED_NAME: Final = re.compile(r'`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*"')
_FILES: Final = re.compile(r"\bINTO OUTFILE\b|\bFROM INFILE\b")
_FILE_FUNCTIONS: Final = re.compile(r"\b(?:file|catboostEvaluate)\(")
_CHOICES: Final = re.compile(r"\bSETTINGS \w+ = ")
_FORMAT: Final = re.compile(r"\bFORMAT \w+$")


def canonical(store: Store, sql: str) -> str:
    """``sql`` as ClickHouse's parser writes it on one line: no comments, no trailing semicolon.

    Raises:
        Refused: it is not exactly one statement, or may do more than read tables.
    """
    text = _parsed(store, sql)
    _check(text)
    return text


def _parsed(store: Store, sql: str) -> str:
    from clickhouse_schema.errors import StoreRejected

    try:
        answer = store.raw("SELECT formatQuerySingleLine({q:String}) AS q", "JSONEachRow", {"q": sql})
    except StoreRejected as error:
        if error.code != _SYNTAX_ERROR:
            raise
        raise Refused(Reason.MALFORMED, _why(error.detail)) from None
    return str(json.loads(answer)["q"])


def _why(detail: str) -> str:
    if "Multi-statements" in detail:
        return "one statement at a time, please: the SQL holds several"
    if "Empty query" in detail:
        return "the SQL is empty"
    words = " ".join(detail.split()).partition(": In scope SELECT formatQuerySingleLine")[0]
    return f"the SQL cannot be read: {words.removeprefix(f'Code: {_SYNTAX_ERROR}. DB::Exception: ')}"


def _check(text: str) -> None:
    bare = _LITERAL.sub("''", text)
    functions = bare.replace("`", "").replace('"', "")
    bare = _QUOTED_NAME.sub("x", bare)
    first = "(" if bare.startswith("(") else bare.split(" ", 1)[0]
    if first not in _READING:
        raise Refused(Reason.MALFORMED, f"only reading is allowed here, and {first} does more")
    if _FILES.search(bare) or _FILE_FUNCTIONS.search(functions):
        raise Refused(Reason.MALFORMED, "files cannot be read or written from SQL")
    if _CHOICES.search(bare):
        raise Refused(Reason.MALFORMED, "settings cannot be chosen in the SQL")
    if _FORMAT.search(bare):
        raise Refused(Reason.MALFORMED, "leave FORMAT out of the SQL: --format says how to print")
