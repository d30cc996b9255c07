"""Rows of any landing table: random ones, extreme ones, and plain ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from clickhouse_schema.tables import LANDING
from processors.contract import MAP, MOMENT, MONEY

NOW = int(time.time()) * 10**9
_EXACT = Context(prec=60)
_TEXT = st.text(max_size=12)
_BOUNDS = {pl.UInt8: (0, 2**8 - 1), pl.UInt16: (0, 2**16 - 1), pl.UInt32: (0, 2**32 - 1), pl.UInt64: (0, 2**64 - 1)}
_SIGNED = {pl.Int8: (-(2**7), 2**7 - 1), pl.Int32: (-(2**31), 2**31 - 1), pl.Int64: (-(2**63), 2**63 - 1)}
#: Moments the tables keep: impossible ones (unset, beyond 2099) and recent ones, in nanoseconds.
_MOMENTS = st.sampled_from([0, 1, 2**63 - 1]) | st.integers(NOW - 86_400 * 10**9, NOW + 86_400 * 10**9)


def _money() -> st.SearchStrategy[Decimal]:
    most = 10**38 - 1
    return st.integers(-most, most).map(lambda units: Decimal(units).scaleb(-12, _EXACT))


def values(dtype: Any, length: int) -> st.SearchStrategy[Any]:
    """Any value of ``dtype``; lists have ``length`` items, because the lists of one Nested column must agree."""
    if isinstance(dtype, pl.List):
        return st.lists(values(dtype.inner, length), min_size=length, max_size=length)
    if dtype == MAP:
        return st.dictionaries(_TEXT, _TEXT, max_size=4)
    if dtype == MONEY:
        return _money()
    if isinstance(dtype, pl.Datetime):
        return _MOMENTS if dtype == MOMENT else _MOMENTS.map(lambda nanoseconds: nanoseconds // 10**6)
    if dtype == pl.Float64:
        return st.floats()
    if dtype == pl.Boolean:
        return st.booleans()
    if dtype == pl.String:
        return _TEXT
    return st.integers(*(_BOUNDS | _SIGNED)[dtype])


_SPECIAL = {"status": st.sampled_from(["ok", "error"]), "sign": st.sampled_from([1, -1])}


@st.composite
def one_row(draw: st.DrawFn, table: str, types: Mapping[str, str]) -> pl.DataFrame:
    """One random row of ``table``; ``types`` are its ClickHouse types (they say what may be NULL)."""
    length = draw(st.integers(0, 3))
    row = {}
    for name, dtype in LANDING[table].items():
        value = _SPECIAL.get(name, values(dtype, length))
        row[name] = draw(st.none() | value if types[name].startswith("Nullable") else value)
    return frame(table, [row])


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows given as Python values (moments in units of their column) as a frame that ``table`` takes."""
    schema = LANDING[table]
    physical = {name: _physical(dtype) for name, dtype in schema.items()}
    return pl.DataFrame(rows, schema=physical, orient="row").cast(dict(schema))  # type: ignore[arg-type]


def _physical(dtype: Any) -> Any:
    """Python has no nanoseconds, so moments are made of integers."""
    if isinstance(dtype, pl.Datetime):
        return pl.Int64
    if dtype == pl.List(MOMENT):
        return pl.List(pl.Int64)
    return dtype


def plain(table: str, **said: Any) -> dict[str, Any]:
    """A row with nothing in it but what is said."""
    return {name: said.get(name, _nothing(name, dtype)) for name, dtype in LANDING[table].items()}


def _nothing(name: str, dtype: Any) -> Any:
    if isinstance(dtype, pl.List):
        return []
    if dtype == MAP:
        return {}
    if isinstance(dtype, pl.Datetime):
        return NOW if dtype == MOMENT else NOW // 10**6
    special = {"status": "ok", "sign": 1, "version": 1, "observations": 1}
    return special.get(name, "" if dtype == pl.String else None if dtype == MONEY else 0)
