"""OTLP's AnyValue as two text columns: how it was sent, and its text.

The text is what the Collector's ClickHouse exporter stores (pdata's ``AsString``), with two exceptions that its users
would call bugs: NaN and the infinities are spelled ``NaN``, ``Infinity``, ``-Infinity`` (not an error message), and
nested values keep the order in which they were sent and do not escape ``<>&``.

===========  ====================================================================================================
sent as      text
===========  ====================================================================================================
(nothing)    the empty string, type ``empty``
string       itself
bool         ``true`` or ``false``
int          decimal
double       shortest digits that read back as the same number, as JavaScript writes them: ``1``, ``0.5``, ``1e-7``
bytes        base64
array        JSON; bytes inside are base64, doubles without a fraction are integers, NaN and infinities are strings
kvlist       JSON object; of a repeated key the last value
===========  ====================================================================================================

Two routes give the same answer (a property test holds them together): `text` for one upb message, and `columns` for a
column of serialized AnyValues, which reads strings and doubles with column operations and everything else once per
distinct value.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

import polars as pl
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from processors.batch import VALUE_TYPE

#: First byte of a serialized AnyValue: (field number << 3) | wire type. The field number is the place in VALUE_TYPE.
_STRING_TAG: Final = (1 << 3) | 2
_DOUBLE_TAG: Final = (4 << 3) | 1
_DOUBLE_BYTES: Final = 9  # the tag and eight bytes
#: Where Polars writes a double as JavaScript does, but for a trailing ".0".
_PLAIN_DOUBLES: Final = (1e-5, 1e15)
_EXACT_INTEGERS: Final = 2.0**53
_MORE: Final = 128  # a byte of a varint from here on is not its last
_RAW: Final = pl.col("raw")

#: A type and the expression that gives the text of a serialized value of that type, and null for everything else.
Reader = tuple[str, pl.Expr]


def text(value: AnyValue) -> tuple[str, str]:
    """The type (one of VALUE_TYPE) and the text of one value. A kind of value newer than this code is ``empty``."""
    kind, read = _KINDS.get(value.WhichOneof("value"), _EMPTY)
    return kind, read(value)


def _json(value: AnyValue) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: AnyValue) -> Any:
    """The value as `json` takes it."""
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case "double_value":
            return _plain_double(value.double_value)
        case "bytes_value":
            return b64encode(value.bytes_value).decode()
        case "string_value" | "bool_value" | "int_value" as kind:
            return getattr(value, kind)
        case _:
            return None


def _plain_double(number: float) -> float | int | str:
    if not math.isfinite(number):
        return double_text(number)
    return int(number) if number.is_integer() and abs(number) < _EXACT_INTEGERS else number


def double_text(number: float) -> str:
    """The shortest text that reads back as ``number``, in JavaScript's notation; ``-0`` keeps its sign."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    shortest = repr(number)
    if number != 0 and not 1e-6 <= abs(number) < 1e21:
        return shortest.replace("e-0", "e-")
    return (format(Decimal(shortest), "f") if "e" in shortest else shortest).removesuffix(".0")


_EMPTY: Final[tuple[str, Callable[[AnyValue], str]]] = ("empty", lambda _: "")
_KINDS: Final[dict[str | None, tuple[str, Callable[[AnyValue], str]]]] = {
    "string_value": ("string", lambda value: value.string_value),
    "bool_value": ("bool", lambda value: "true" if value.bool_value else "false"),
    "int_value": ("int", lambda value: str(value.int_value)),
    "double_value": ("double", lambda value: double_text(value.double_value)),
    "array_value": ("array", _json),
    "kvlist_value": ("kvlist", _json),
    "bytes_value": ("bytes", lambda value: b64encode(value.bytes_value).decode()),
}


def columns(serialized: pl.Series) -> pl.DataFrame:
    """The columns ``type`` and ``value`` of a binary column of serialized AnyValues, no bytes meaning no value."""
    return _read(serialized.alias("raw"), _readers())


def _read(raw: pl.Series, readers: Sequence[Reader]) -> pl.DataFrame:
    """What the first reader can read; what it cannot is left to the next one, and at last to upb."""
    if not readers:
        return _read_distinct(raw)
    (kind, reader), *others = readers
    texts = raw.to_frame().select(reader.alias("value")).to_series()
    kinds = pl.Series("type", [kind], VALUE_TYPE).new_from_index(0, len(raw))
    found = texts.is_not_null()
    if found.all():
        return pl.DataFrame([kinds, texts])
    rest = _read(raw.filter(~found), others)
    place = ((~found).cum_sum().cast(pl.Int64) - 1).clip(0)
    return pl.DataFrame([mine.zip_with(found, rest[mine.name].gather(place)) for mine in (kinds, texts)])


def _read_distinct(raw: pl.Series) -> pl.DataFrame:
    distinct = raw.unique()
    read = [text(AnyValue.FromString(value)) for value in distinct.to_list()]
    kinds, texts = zip(*read, strict=True) if read else ((), ())
    known = pl.DataFrame([distinct, pl.Series("type", kinds, VALUE_TYPE), pl.Series("value", texts, pl.String)])
    return raw.to_frame().join(known, on="raw", how="left", maintain_order="left").drop("raw")


@cache
def _readers() -> tuple[Reader, ...]:
    return ("string", _string(1)), ("string", pl.coalesce(_string(2), _string(3))), ("double", _double())


def _string(digits: int) -> pl.Expr:
    """The text of a value that is a string and nothing else: tag, length in ``digits`` bytes, text. Else null."""
    length, whole = pl.lit(0, pl.UInt32), _byte(0) == _STRING_TAG
    for digit in range(1, 1 + digits):
        more = _byte(digit) >= _MORE
        length += (_byte(digit) % _MORE) * _MORE ** (digit - 1)
        whole &= more if digit < digits else ~more
    return pl.when(whole & (_RAW.bin.size() == length + 1 + digits)).then(_RAW.bin.slice(1 + digits)).cast(pl.String)


def _byte(place: int) -> pl.Expr:
    return _RAW.bin.get(place, null_on_oob=True).cast(pl.UInt32)


def _double() -> pl.Expr:
    """The text of a double that Polars writes as `double_text` does. Else null."""
    is_double = (_RAW.bin.size() == _DOUBLE_BYTES) & (_byte(0) == _DOUBLE_TAG)
    number = pl.when(is_double).then(_RAW.bin.slice(1)).bin.reinterpret(dtype=pl.Float64, endianness="little")
    plain = number.abs().is_between(*_PLAIN_DOUBLES) | (number == 0)
    return pl.when(plain).then(number).cast(pl.String).str.strip_suffix(".0")
