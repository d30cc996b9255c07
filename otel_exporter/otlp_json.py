"""OTLP in JSON becomes OTLP in protobuf, so that everything behind the door reads one encoding.

Follows the OTLP/JSON mapping: protobuf's JSON mapping, but ids in hexadecimal and enums as numbers; unknown fields are
ignored. Also taken, because senders send it: field names as in the .proto files, enum names, ids in upper case, base64
of either alphabet with or without padding, 64-bit integers as numbers, and halves of surrogate pairs (a JavaScript
string cut in two), which become U+FFFD.

Driven by the descriptors of the messages; about four times as fast as protobuf's own `json_format`, which also quotes
payload in its errors.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, NoReturn

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from otel_exporter.decode.census import is_crowded_json, is_crowded_tree, too_many
from otel_exporter.decode.door import REQUEST
from otel_exporter.failures import Reason, Refused
from processors.batch import Signal

_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_URL_ALPHABET: Final = str.maketrans("-_", "+/")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")

#: A field's name in Python and how to read its JSON value.
_Field = tuple[str, Callable[[Any], Any]]


class _WrongError(Exception):
    """A value that cannot be read: where it is, found out on the way up, and what it should be."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = ""

    def inside(self, place: str) -> _WrongError:
        """The same, one level further out."""
        self.path = f"{place}{'.' if self.path and self.path[0] != '[' else ''}{self.path}"
        return self


def to_protobuf(signal: Signal, body: bytes, most: int | None = None) -> bytes:
    """The request in protobuf.

    Raises:
        Refused: MALFORMED: not JSON, or not this request; the sentence says where, and quotes nothing. TOO_LARGE: more
            than ``most`` spans, log records or metrics.
    """
    request = REQUEST[signal]
    if most is not None and is_crowded_json(body, most):
        raise too_many(most)
    try:
        tree = _loaded(body)
        if most is not None and is_crowded_tree(signal, tree, most):
            raise too_many(most)
        return request(**_message(request.DESCRIPTOR, tree)).SerializeToString()
    except _WrongError as wrong:
        sentence = (
            f"The body is not an {request.DESCRIPTOR.name} in JSON: {wrong.path or 'it'} must be {wrong.expected}."
        )
        raise Refused(Reason.MALFORMED, sentence) from None
    except RecursionError:
        raise Refused(Reason.MALFORMED, "The JSON is nested too deeply.") from None


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refused(Reason.MALFORMED, f"The body is not JSON: {error.msg} at {where}.") from None
    except ValueError:  # bytes that are no text, or an integer of thousands of digits
        raise Refused(Reason.MALFORMED, "The body is not JSON in UTF-8, or holds an absurdly long number.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose names comes twice: taking one of them would lose what the other holds."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise Refused(Reason.MALFORMED, "The JSON has an object with the same name twice.")
    return read


def _message(descriptor: Descriptor, value: Any) -> dict[str, Any]:
    """The arguments with which Python makes the message."""
    if not isinstance(value, dict):
        _wrong("an object")
    fields, read = _fields(descriptor), {}
    for name, item in value.items():
        if item is None or name not in fields:
            continue
        field, reader = fields[name]
        if field in read:
            raise _WrongError("sent under one name only").inside(name)
        try:
            read[field] = reader(item)
        except _WrongError as wrong:
            raise wrong.inside(name) from None
    return read


@cache
def _fields(descriptor: Descriptor) -> dict[str, _Field]:
    return {name: (field.name, _reader(field)) for field in descriptor.fields for name in (field.name, field.json_name)}


def _reader(field: FieldDescriptor) -> Callable[[Any], Any]:
    reader = _single(field)
    return partial(_list, reader) if field.is_repeated else reader


def _single(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.message_type is not None:
        return partial(_message, field.message_type)
    if field.enum_type is not None:
        return partial(_enum, field.enum_type)
    if field.name in _IDS:
        return _hexadecimal
    return _SCALARS[field.cpp_type if field.type != FieldDescriptor.TYPE_BYTES else -field.type]


def _list(reader: Callable[[Any], Any], value: Any) -> list[Any]:
    if not isinstance(value, list):
        _wrong("an array")
    read: list[Any] = []
    try:
        for item in value:
            read.append(reader(item))
    except _WrongError as wrong:
        raise wrong.inside(f"[{len(read)}]") from None
    return read


def _integer(bits: int, signed: bool, value: Any) -> int:
    number = _whole(value)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    if number is None or not low <= number < high:
        _wrong(f"{'a signed' if signed else 'an unsigned'} integer of {bits} bits, or its decimal text")
    return number


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _double(value: Any) -> float:
    try:
        return float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        _wrong('a number, "NaN", "Infinity" or "-Infinity"')


def _bool(value: Any) -> bool:
    return value if isinstance(value, bool) else _wrong("true or false")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _wrong("a string")
    return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)


def _base64(value: Any) -> bytes:
    try:
        digits = value.translate(_URL_ALPHABET).rstrip("=")
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (AttributeError, ValueError):
        _wrong("base64 text")


def _hexadecimal(value: Any) -> bytes:
    try:
        return binascii.unhexlify(value)
    except (TypeError, ValueError):
        _wrong("hexadecimal text")


def _enum(descriptor: EnumDescriptor, value: Any) -> int:
    # protobuf looks for names in UTF-8, which halves of surrogate pairs do not have
    named = descriptor.values_by_name.get(value) if isinstance(value, str) and value.isascii() else None
    return named.number if named else _integer(32, True, value)


def _wrong(expected: str) -> NoReturn:
    raise _WrongError(expected)


_SCALARS: Final[dict[int, Callable[[Any], Any]]] = {
    FieldDescriptor.CPPTYPE_INT32: partial(_integer, 32, True),
    FieldDescriptor.CPPTYPE_UINT32: partial(_integer, 32, False),
    FieldDescriptor.CPPTYPE_INT64: partial(_integer, 64, True),
    FieldDescriptor.CPPTYPE_UINT64: partial(_integer, 64, False),
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_BOOL: _bool,
    FieldDescriptor.CPPTYPE_STRING: _text,
    -FieldDescriptor.TYPE_BYTES: _base64,
}
