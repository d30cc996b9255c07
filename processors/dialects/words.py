"""Words for writing dialects: small expressions over the sheet. None of them raises on any value."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Final

import polars as pl

from processors.contract import MONEY, TEXTS

MAX_REPR: Final = 65_536  # characters of a Python-repr value we are willing to parse
MAX_COUNT: Final = 1e12  # more tokens than anyone counts: such a number is garbage, and sums must not overflow
MAX_DOLLARS: Final = 1e9
_PICODOLLAR: Final = pl.lit("0.000000000001").cast(MONEY)
_SILENT: Final = ("", "None", "null")  # how producers say nothing
_BAD_ESCAPE: Final = re.compile(r"""(?<!\\)(?:\\\\)*\\[^\\'"abfnrtvxuUN0-7]""")  # no repr has it, and Python warns


def attr(name: str) -> pl.Expr:
    """The attribute as text; empty text is unknown."""
    return said(pl.col(name))


def said(text: pl.Expr) -> pl.Expr:
    """Null instead of ``''``, ``None`` and ``null``: nobody said anything."""
    return pl.when(~text.is_in(_SILENT)).then(text)


def first(*names: str) -> pl.Expr:
    """The first of these attributes that says something."""
    return pl.coalesce([attr(name) for name in names])


def has(*names: str) -> pl.Expr:
    """Whether the record carries any of these attributes at all."""
    return pl.any_horizontal([pl.col(name).is_not_null() for name in names])


def says(*names: str) -> pl.Expr:
    """Whether any of these attributes says something."""
    return first(*names).is_not_null()


def is_true(name: str) -> pl.Expr:
    """A flag sent as a bool or as text ("True", "true", "1")."""
    text = pl.col(name).str.to_lowercase()
    return pl.when(text.is_in(["true", "1"])).then(True).when(text.is_in(["false", "0"])).then(False)


def milliseconds(seconds: pl.Expr) -> pl.Expr:
    """Seconds, as text, in milliseconds."""
    return seconds.cast(pl.Float64, strict=False) * 1000.0


def count(number: pl.Expr) -> pl.Expr:
    """A whole number of tokens or requests, as text or number; what cannot be one is unknown."""
    value = number.cast(pl.Float64, strict=False)
    return pl.when(value.is_between(0, MAX_COUNT)).then(value.round().cast(pl.UInt64, strict=False))


def dollars(number: pl.Expr) -> pl.Expr:
    """A double of dollars, as text or number, at the 12 digits we keep; what is not a finite number is unknown."""
    value = number.cast(pl.Float64, strict=False)
    finite = pl.when(value.is_finite() & (value.abs() < MAX_DOLLARS)).then(value)
    picodollars = (finite * 1e12).round().cast(pl.Int128, strict=False).cast(pl.Decimal(38, 0))
    return (picodollars * _PICODOLLAR).cast(MONEY)


def positive(name: str) -> pl.Expr:
    """A number that is not zero: some producers send 0 where they do not know."""
    return pl.when(pl.col(name).cast(pl.Float64, strict=False) > 0).then(pl.col(name))


def listed(text: pl.Expr) -> pl.Expr:
    """A list of one text; of nothing, nothing."""
    return pl.when(text.is_not_null()).then(pl.concat_list(text))


def containing(text: pl.Expr, part: str) -> pl.Expr:
    """The text where it contains ``part`` at all: worth parsing."""
    return pl.when(text.str.contains(part, literal=True)).then(text)


def joined(*names: str) -> pl.Expr:
    """What these say, one after the other with slashes; nulls are left out."""
    return pl.concat_str([said(pl.col(name).cast(pl.String)) for name in names], separator="/", ignore_nulls=True)


def address(host: str, port: str) -> pl.Expr:
    """``host:port`` of two attributes, or the host alone."""
    return attr(host) + pl.coalesce(":" + attr(port), pl.lit(""))


def json_at(text: pl.Expr, path: str) -> pl.Expr:
    """The value at a JSON path (``$.a.b``) of a JSON text; anything else is unknown. Parses the text each time."""
    return said(text.str.json_path_match(path))


def number_at(text: pl.Expr, *keys: str) -> pl.Expr:
    """The first whole number after one of ``keys`` in a JSON or Python-repr object, found without parsing it."""
    names = "|".join(re.escape(key) for key in keys)
    return text.str.extract(rf"""['"](?:{names})['"]:\s*(\d+)\b""", 1)


def decimal_at(text: pl.Expr, key: str) -> pl.Expr:
    """The first number after ``key`` in a JSON object, found without parsing it."""
    return text.str.extract(rf'"{re.escape(key)}":\s*"?(-?\d[\d.eE+-]*)', 1)


def text_at(text: pl.Expr, key: str) -> pl.Expr:
    """The first string after ``key`` in a JSON object, found without parsing it; JSON escapes stay as they are."""
    return said(text.str.extract(rf'"{re.escape(key)}":\s*"((?:[^"\\]|\\.)*)"', 1))


def part_of(text: pl.Expr, *keys: str) -> pl.Expr:
    """What follows one of ``keys`` in a JSON or Python-repr object up to the first closing brace: a nested object."""
    names = "|".join(re.escape(key) for key in keys)
    return text.str.extract(rf"""['"](?:{names})['"]:\s*\{{([^}}]*)""", 1)


def text_list(text: pl.Expr) -> pl.Expr:
    """A list of texts sent as JSON or Python repr; anything else is unknown."""
    return text.map_batches(lambda texts: _each_distinct(texts, _list, TEXTS), return_dtype=TEXTS)


def python_repr(text: pl.Expr) -> pl.Expr:
    """A Python-repr value (LiteLLM v1 writes those) as JSON text; what is no dict or list literal is unknown."""
    return text.map_batches(lambda texts: _each_distinct(texts, _as_json, pl.String()), return_dtype=pl.String)


def _each_distinct(texts: pl.Series, read: Callable[[str], object], dtype: pl.DataType) -> pl.Series:
    """``read`` applied once per distinct text."""
    distinct = texts.drop_nulls().unique()
    values = pl.Series(texts.name, [read(text) for text in distinct], dtype=dtype)
    if distinct.is_empty():
        return pl.Series(texts.name, [None] * len(texts), dtype=dtype)
    places = pl.Series(range(len(distinct)), dtype=pl.UInt32)
    return values.gather(texts.replace_strict(distinct, places, default=None, return_dtype=pl.UInt32))


def _list(text: str) -> list[str] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = _literal(text)
    if not isinstance(values, list):
        return None
    return [_plain(str(value)) for value in values if isinstance(value, str | int | float)]


def _as_json(text: str) -> str | None:
    value = _literal(text)
    try:
        return None if value is None else json.dumps(value, default=str)
    except (ValueError, TypeError, RecursionError):
        return None


def _literal(text: str) -> object:
    """The dict or list a Python literal means; size-capped, never evaluated. None for anything else."""
    if len(text) > MAX_REPR or text[:1] not in ("{", "[") or _BAD_ESCAPE.search(text):
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _plain(text: str) -> str:
    """Text that can be stored as UTF-8: JSON can spell half a surrogate pair."""
    return text.encode(errors="replace").decode()
