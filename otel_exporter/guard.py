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

#: First words of statements that read.
READING: Final = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "("})
_SYNTAX_ERROR: Final = 62
#: A text or a quoted name, whichever begins first: a quote inside the other is no quote.
_QUOTED: Final = re.compile(r"""(['"`])((?:[^\\]|\\.)*?)\1""", re.DOTALL)
_WRONG: Final = {
    re.compile(r"\bINTO OUTFILE\b|\bFROM INFILE\b"): "files cannot be written or read from SQL",
    re.compile(r"\b(?:file|catboostEvaluate|eval|ai[A-Z]\w*)\("): "files cannot be read from SQL",
    re.compile(r"\bSETTINGS \w+ = "): "settings cannot be chosen in the SQL",
    re.compile(r"\bFORMAT \w+$"): "leave FORMAT out of the SQL: --format says how to print",
}


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
    bare = bare_text(text)
    first = "(" if bare.startswith("(") else bare.split(" ", 1)[0]
    if first not in READING:
        raise Refused(Reason.MALFORMED, f"only reading is allowed here, and {first} does more")
    for wrong, sentence in _WRONG.items():
        if wrong.search(bare):
            raise Refused(Reason.MALFORMED, sentence)


def bare_text(canonical: str) -> str:
    """A statement as ClickHouse's parser writes it, without its texts: only words that ClickHouse acts on are left."""
    return _QUOTED.sub(_harmless, canonical)


def _harmless(quoted: re.Match[str]) -> str:
    """Nothing for a text; a quoted name stays a name, so that a quoted function is still seen."""
    if quoted[1] == "'":
        return "''"
    return quoted[2] if quoted[2].isidentifier() else "x"
