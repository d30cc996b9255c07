"""Globs: ``*`` is any text, ``?`` any character, everything else itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl


def is_glob(text: str) -> bool:
    """Whether it stands for more than itself."""
    return "*" in text or "?" in text


def fits_any(text: pl.Expr, globs: Iterable[str]) -> pl.Expr:
    """Whether one of ``globs`` fits the whole ``text``."""
    return text.str.contains("(?s)^(?:" + "|".join(map(_regex, globs)) + ")$")


def _regex(glob: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", glob))
