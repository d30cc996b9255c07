"""Words for writing dialects: small expressions over the sheet."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import polars as pl

MAX_REPR: Final = 65_536  # characters of a Python-repr value we are willing to parse


def attr(name: str) -> pl.Expr:
    """The attribute as text; empty text is unknown."""
    return said(pl.col(name))


def said(text: pl.Expr) -> pl.Expr:
    """Null instead of ``''`` and ``None``: nobody said anything."""
    return pl.when(~text.is_in(["", "None", "null"])).then(text)


def first(*names: str) -> pl.Expr:
    """The first of these attributes that says something."""
    return pl.coalesce([attr(name) for name in names])


def has(*names: str) -> pl.Expr:
    """Whether the record carries any of these attributes at all."""
    return pl.any_horizontal([pl.col(name).is_not_null() for name in names])


def is_true(name: str) -> pl.Expr:
    """A flag sent as a bool or as text ("True", "true", "1")."""
    text = pl.col(name).str.to_lowercase()
    return pl.when(text.is_in(["true", "1"])).then(True).when(text.is_in(["false", "0"])).then(False)


def milliseconds(seconds: pl.Expr) -> pl.Expr:
    """Seconds, as text, in milliseconds."""
    return seconds.cast(pl.Float64, strict=False) * 1000.0


def json_at(text: pl.Expr, path: str) -> pl.Expr:
    """The value at a JSON path (``$.a.b``) of a JSON text; anything else is unknown."""
    return said(text.str.json_path_match(path))


def json_list(text: pl.Expr) -> pl.Expr:
    """A JSON array of texts as a list; anything else is unknown."""
    return text.map_batches(_lists, return_dtype=pl.List(pl.String))


def json_fields(text: pl.Expr, fields: Mapping[str, str]) -> pl.Expr:
    """Several values of one JSON text as a struct of texts: name -> JSON path."""
    return pl.struct([json_at(text, path).alias(name) for name, path in fields.items()])


def python_repr(name: str) -> pl.Expr:
    """A Python-repr attribute (LiteLLM v1 writes those) as JSON text; what is no literal is unknown."""
    return pl.col(name).map_batches(_reprs, return_dtype=pl.String)


def _lists(texts: pl.Series) -> pl.Series:
    unique = texts.drop_nulls().unique()
    return texts.replace_strict(
        unique, pl.Series([_list(text) for text in unique], dtype=pl.List(pl.String)), default=None
    ) if len(unique) else pl.Series(texts.name, [None] * len(texts), dtype=pl.List(pl.String))


@lru_cache(maxsize=4096)
def _list(text: str) -> list[str] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return [str(value) for value in values if value is not None] if isinstance(values, list) else None


def _reprs(texts: pl.Series) -> pl.Series:
    unique = texts.drop_nulls().unique()
    if unique.is_empty():
        return texts
    parsed = pl.Series([_literal(text) for text in unique], dtype=pl.String)
    return texts.replace_strict(unique, parsed, default=None, return_dtype=pl.String)


@lru_cache(maxsize=4096)
def _literal(text: str) -> str | None:
    """JSON text of a Python literal; size-capped, never evaluated."""
    if len(text) > MAX_REPR or text[:1] not in "{[":
        return None
    try:
        return json.dumps(ast.literal_eval(text), default=str)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
