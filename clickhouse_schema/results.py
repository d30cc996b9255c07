"""ClickHouse's Arrow answers as Polars frames, with what Arrow cannot say put right.

Arrow has no word for some ClickHouse types: an Enum arrives as its number, DateTime as seconds, UUID as bytes. When a
column looks like one of these, the query's types are asked for (`DESCRIBE`) and the column is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from uuid import UUID

import polars as pl
import pyarrow as pa

from clickhouse_schema.errors import StoreRejected

#: Polars types that more than one ClickHouse type arrives as.
_AMBIGUOUS: Final = (pl.Int8, pl.Int16, pl.UInt32, pl.Binary)
_ENUM: Final = re.compile(r"Enum(?:8|16)\((.*)\)$", re.DOTALL)
_MEMBER: Final = re.compile(r"'((?:[^'\\]|\\.)*)' = (-?\d+)")


def frame(data: bytes, types: Callable[[], Mapping[str, str]]) -> pl.DataFrame:
    """The rows of one Arrow answer.

    Text that is not UTF-8 (ClickHouse strings are bytes) gets U+FFFD where it cannot be read. ``types`` gives the
    ClickHouse type of each column; it is called only when a column is ambiguous.

    Raises:
        StoreRejected: a column has a type without an equal here (256-bit numbers).
    """
    if not data:
        return pl.DataFrame()
    _refuse_wide_numbers(data)
    try:
        rows = pl.read_ipc(data)
    except pl.exceptions.ComputeError:
        rows = _lossy(data)
    rows = rows.cast({name: _in_utc(dtype) for name, dtype in rows.schema.items()})
    if not any(dtype in _AMBIGUOUS for dtype in rows.dtypes):
        return rows
    return _repair(rows, types())


def _refuse_wide_numbers(data: bytes) -> None:
    """Polars panics on them, so they are found in the schema first."""
    for field in pa.ipc.open_file(data).schema:
        if pa.types.is_decimal256(field.type) or field.type == pa.binary(32):
            sentence = f"column {field.name!r} is a 256-bit number; cast it to Decimal(38, x), Float64 or String"
            raise StoreRejected(0, sentence)


def _in_utc(dtype: pl.DataType) -> pl.DataType:
    """The same moments in UTC: a column without a time zone of its own comes in the machine's."""
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return pl.Datetime(dtype.time_unit, "UTC")
    if isinstance(dtype, pl.List):
        return pl.List(_in_utc(dtype.inner))  # type: ignore[arg-type]
    return dtype


def _repair(rows: pl.DataFrame, types: Mapping[str, str]) -> pl.DataFrame:
    columns = (_repaired(rows.get_column(name), _plain(types.get(name, ""))) for name in rows.columns)
    return rows.with_columns(column for column in columns if column is not None)


def _plain(clickhouse: str) -> str:
    """The type without Nullable and LowCardinality around it."""
    while match := re.fullmatch(r"(?:Nullable|LowCardinality)\((.*)\)", clickhouse, re.DOTALL):
        clickhouse = match.group(1)
    return clickhouse


def _repaired(column: pl.Series, clickhouse: str) -> pl.Series | None:
    """The column as ``clickhouse`` means it; None when it is right already."""
    if column.dtype not in _AMBIGUOUS:
        return None
    if match := _ENUM.match(clickhouse):
        names = {int(number): _unescaped(name) for name, number in _MEMBER.findall(match.group(1))}
        return column.replace_strict(names, return_dtype=pl.String)
    if clickhouse.startswith("DateTime"):
        return (column.cast(pl.Int64) * 1000).cast(pl.Datetime("ms", "UTC"))
    if column.dtype == pl.Binary or clickhouse in _SPELLED:
        spell, dtype = _SPELLED.get(clickhouse, (_text, pl.String))
        return pl.Series(column.name, [None if value is None else spell(value) for value in column], dtype)
    return None


def _text(octets: bytes) -> str:
    """A FixedString without its padding."""
    return octets.rstrip(b"\0").decode(errors="replace")


#: Types whose values are spelled one by one (they are rare).
_SPELLED: Final[dict[str, tuple[Callable[[Any], object], type[pl.DataType]]]] = {
    "IPv4": (lambda number: str(IPv4Address(number)), pl.String),
    "IPv6": (lambda octets: str(IPv6Address(octets)), pl.String),
    "UUID": (lambda octets: str(UUID(bytes=octets)), pl.String),
    "Int128": (lambda octets: int.from_bytes(octets, "little", signed=True), pl.Int128),
    "UInt128": (lambda octets: int.from_bytes(octets, "little"), pl.UInt128),
}


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _lossy(data: bytes) -> pl.DataFrame:
    """The rows when some text is not UTF-8. Slow (it walks the affected columns), and rare: we only write UTF-8."""
    table = pa.ipc.open_file(data).read_all()
    columns = [_readable(column) for column in table.columns]
    converted = pl.from_arrow(pa.table(columns, names=table.column_names))
    assert isinstance(converted, pl.DataFrame)
    return converted


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = [_decoded(value) for value in column.cast(_octets(column.type)).to_pylist()]
        return pa.chunked_array([pa.array(values, type=column.type)])
    return column


def _octets(kind: pa.DataType) -> pa.DataType:
    """The same type with bytes for text."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_map(kind):
        return pa.map_(_octets(kind.key_type), _octets(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(pa.field("item", _octets(kind.value_type), kind.value_field.nullable))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _octets(field.type), field.nullable) for field in kind])
    return kind


def _decoded(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {name: _decoded(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_decoded(part) for part in value)
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    return value
