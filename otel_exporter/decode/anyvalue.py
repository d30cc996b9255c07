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
from decimal import Decimal
from functools import cache
from typing import Any, Final

import polars as pl
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from processors.batch import VALUE_TYPE

_TYPES: Final = {
    None: "empty",
    "string_value": "string",
    "bool_value": "bool",
    "int_value": "int",
    "double_value": "double",
    "array_value": "array",
    "kvlist_value": "kvlist",
    "bytes_value": "bytes",
}
#: First byte of a serialized AnyValue: (field number << 3) | wire type. The field number is the place in VALUE_TYPE.
_STRING_TAG: Final = (1 << 3) | 2
_DOUBLE_TAG: Final = (4 << 3) | 1
_DOUBLE_BYTES: Final = 9  # the tag and eight bytes
#: Where Polars writes a double as JavaScript does, but for a trailing ".0".
_PLAIN_DOUBLES: Final = (1e-5, 1e15)
_EXACT_INTEGERS: Final = 2.0**53
_RAW: Final = pl.col("raw")
_STRING: Final = pl.lit("string", VALUE_TYPE)
_DOUBLE: Final = pl.lit("double", VALUE_TYPE)


def text(value: AnyValue) -> tuple[str, str]:
    """The type (one of VALUE_TYPE) and the text of one value. A kind of value newer than this code is ``empty``."""
    kind = _TYPES.get(value.WhichOneof("value"), "empty")
    match kind:
        case "string":
            return kind, value.string_value
        case "bool":
            return kind, "true" if value.bool_value else "false"
        case "int":
            return kind, str(value.int_value)
        case "double":
            return kind, double_text(value.double_value)
        case "bytes":
            return kind, b64encode(value.bytes_value).decode()
        case "array" | "kvlist":
            return kind, json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        case _:
            return kind, ""


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


def columns(serialized: pl.Series) -> pl.DataFrame:
    """The columns ``type`` and ``value`` of a binary column of serialized AnyValues, no bytes meaning no value."""
    frame = pl.DataFrame({"raw": serialized}).with_columns(_is_string(1).alias("easy"))
    easy = frame.get_column("easy")
    strings = frame.select(_easy())
    if easy.all():
        return strings
    rest = _rest(frame.filter(~easy).select("raw"))
    place = (~easy).cum_sum().cast(pl.Int64)
    return pl.DataFrame([strings[name].zip_with(easy, rest[name].gather((place - 1).clip(0))) for name in ("type", "value")])


@cache
def _easy() -> list[pl.Expr]:
    strings = pl.when("easy").then(_RAW.bin.slice(2)).cast(pl.String)
    return [pl.when("easy").then(_STRING).alias("type"), strings.alias("value")]


def _rest(frame: pl.DataFrame) -> pl.DataFrame:
    """Longer strings and most doubles as columns, every other value once per distinct spelling."""
    quick = frame.with_columns(_quick())
    slow = quick.filter(pl.all_horizontal(pl.col("string", "double").is_null())).get_column("raw").unique()
    return quick.join(_each(slow), on="raw", how="left", maintain_order="left").select(_either())


@cache
def _quick() -> list[pl.Expr]:
    strings = pl.when(_is_string(2)).then(_RAW.bin.slice(3)).when(_is_string(3)).then(_RAW.bin.slice(4)).cast(pl.String)
    return [strings.alias("string"), _plain_double_text().alias("double")]


@cache
def _either() -> list[pl.Expr]:
    kind = pl.when(pl.col("string").is_not_null()).then(_STRING).when(pl.col("double").is_not_null()).then(_DOUBLE)
    return [pl.coalesce(kind, "type").alias("type"), pl.coalesce("string", "double", "text").alias("value")]


@cache
def _is_string(digits: int) -> pl.Expr:
    """Whether these bytes are a string and nothing else: tag, length in ``digits`` bytes, text."""
    length, whole = pl.lit(0, pl.UInt32), _RAW.bin.get(0, null_on_oob=True) == _STRING_TAG
    for digit in range(digits):
        byte = _RAW.bin.get(1 + digit, null_on_oob=True).cast(pl.UInt32)
        length += (byte & 127) * 128**digit
        whole &= byte >= 128 if digit < digits - 1 else byte < 128
    return (whole & (_RAW.bin.size() == length + 1 + digits)).fill_null(False)


def _plain_double_text() -> pl.Expr:
    """The text of the doubles that Polars writes as `double_text` does; null for other doubles and other values."""
    is_double = (_RAW.bin.size() == _DOUBLE_BYTES) & (_RAW.bin.get(0, null_on_oob=True) == _DOUBLE_TAG)
    number = pl.when(is_double).then(_RAW.bin.slice(1)).bin.reinterpret(dtype=pl.Float64, endianness="little")
    plain = number.abs().is_between(*_PLAIN_DOUBLES) | (number == 0)
    return pl.when(plain).then(number).cast(pl.String).str.strip_suffix(".0")


def _each(serialized: pl.Series) -> pl.DataFrame:
    read = [text(AnyValue.FromString(raw)) for raw in serialized.to_list()]
    kinds, texts = zip(*read, strict=True) if read else ((), ())
    return pl.DataFrame({"raw": serialized, "type": kinds, "text": texts}, {"raw": pl.Binary, "type": VALUE_TYPE, "text": pl.String})
