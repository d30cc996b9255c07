"""Whether a request holds too many messages: read off the wire format, or counted in JSON, before any of it is built.

An empty span is two bytes, and hundreds once it is parsed: what is too much has to be known before.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor

from otel_exporter.decode.door import PATH, REQUEST
from otel_exporter.failures import Reason, Refused
from processors.batch import Signal

#: Field numbers from the request down to the record; a metric has its points in one of five fields.
_PATH: Final[dict[Signal, Sequence[frozenset[int]]]] = {
    Signal.TRACES: tuple(map(frozenset, ({1}, {2}, {2}))),
    Signal.LOGS: tuple(map(frozenset, ({1}, {2}, {2}))),
    Signal.METRICS: tuple(map(frozenset, ({1}, {2}, {2}, {5, 7, 9, 10, 11}, {1}))),
}
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
#: A message takes its tag and its length at least.
_LEAST_BYTES: Final = 2
#: Fields looked at for each record allowed. Senders have fewer than five: the record, and a metric's name and unit.
_FIELDS: Final = 8
#: Attributes, events, links, exemplars and members of lists, for each record allowed, and how many there may be anyway.
#: An SDK's own limit is 128 attributes a span; hardly a span has forty.
_PARTS: Final = 40
_PARTS_ANYWAY: Final = 10_000
#: JSON objects for each record allowed: an attribute is two of them.
_OBJECTS: Final = 40


def too_many(most: int) -> Refused:
    """What the sender of such a request is told."""
    return Refused(
        Reason.TOO_LARGE,
        f"The request holds more than the {most} records allowed, or far too many attributes; send smaller batches.",
    )


def is_crowded_json(body: bytes, most: int) -> bool:
    """Whether the JSON has so many objects that even reading it is too much: 40 for each record allowed."""
    return body.count(b"{") > _OBJECTS * most + 1_000


def is_crowded_tree(signal: Signal, tree: Any, most: int) -> bool:
    """`is_crowded` of JSON that was read, down to spans, log records and metrics; other shapes hold none."""
    level = [tree]
    for name in PATH[signal]:
        first, *rest = name.split("_")
        names = {name, first + "".join(map(str.capitalize, rest))}
        lists = [each[key] for each in level if isinstance(each, dict) for key in names if key in each]
        level = [item for listed in lists if isinstance(listed, list) for item in listed]
        if len(level) > most:
            return True
    return False


def is_crowded(signal: Signal, body: bytes, most: int) -> bool:
    """Whether more than ``most`` resources, scopes, metrics or records (of any one of them) are in the request.

    Or more than forty times as many attributes and other parts (and 10,000) in all of them together.

    Looks no further than it has to. Of a body that is not protobuf it knows what comes before the fault: parsing will
    refuse it. Fields that nobody knows count too when there are a great many of them.
    """
    if len(body) <= _LEAST_BYTES * most:
        return False
    return _has_many_records(signal, body, most) or _has_many_parts(signal, body, _PARTS * most + _PARTS_ANYWAY)


def _has_many_records(signal: Signal, body: bytes, most: int) -> bool:
    path = _PATH[signal]
    seen, looked = [0] * len(path), 0
    parts = [(0, len(body), 0)]
    while parts:
        start, end, depth = parts.pop()
        for number, begin, stop in _fields(body, start, end, path[depth]):
            looked += 1
            if number:
                seen[depth] += 1
                if depth + 1 < len(path):
                    parts.append((begin, stop, depth + 1))
            if looked > _FIELDS * most + 1_000 or seen[depth] > most:
                return True
    return False


def _has_many_parts(signal: Signal, body: bytes, most: int) -> bool:
    """Whether the lists of all messages together have more than ``most`` members, whatever the members are."""
    top = REQUEST[signal].DESCRIPTOR
    if len(body) <= _LEAST_BYTES * most or sum(map(body.count, _first_bytes(top))) <= most:
        return False  # every member begins with one of those bytes; counting bytes takes next to nothing
    seen, messages = 0, [(0, len(body), top)]
    while messages:
        start, end, message = messages.pop()
        inner = _inner(message)
        for number, begin, stop in _fields(body, start, end, inner.keys()):
            if number:
                below, is_list = inner[number]
                seen += is_list
                if stop > begin:
                    messages.append((begin, stop, below))
            if seen > most:
                return True
    return False


@cache
def _inner(message: Descriptor) -> dict[int, tuple[Descriptor, bool]]:
    """The fields of a message that are messages, by number, and whether there may be many."""
    return {field.number: (field.message_type, field.is_repeated) for field in message.fields if field.message_type}


@cache
def _first_bytes(top: Descriptor) -> tuple[bytes, ...]:
    """With what a member of any list below a message can begin: its tag in one byte, or in more than it takes."""
    found, left = set[int](), [top]
    known = {top.full_name}
    while left:
        for number, (message, is_list) in _inner(left.pop()).items():
            if is_list:
                tag = number << 3 | _DELIMITED
                found |= {tag & 0x7F | 0x80} | ({tag} if tag < 0x80 else set())
            if message.full_name not in known:
                known.add(message.full_name)
                left.append(message)
    return tuple(bytes([byte]) for byte in sorted(found))


def _fields(body: bytes, start: int, end: int, wanted: Container[int]) -> Iterator[tuple[int, int, int]]:
    """Number, beginning and end of each field of a message; the number is 0 of those that are not ``wanted``."""
    position = start
    try:
        while position < end:
            tag, position = _varint(body, position)
            kind, size = tag & 7, 0
            if kind == _DELIMITED:
                size, position = _varint(body, position)
            elif kind == _VARINT:
                _, position = _varint(body, position)
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                size = 8 if kind == _EIGHT_BYTES else 4
            stop = position + size  # the marks of a group (3 and 4) have no content of their own
            if stop > end:
                return
            yield tag >> 3 if kind == _DELIMITED and tag >> 3 in wanted else 0, position, stop
            position = stop
    except IndexError:
        return


def _varint(body: bytes, position: int) -> tuple[int, int]:
    """A number, and where it ends. Raises IndexError at the end of the body."""
    byte = body[position]
    value, shift, position = byte & 0x7F, 7, position + 1
    while byte > 0x7F and shift < 70:
        byte = body[position]
        value, shift, position = value | (byte & 0x7F) << shift, shift + 7, position + 1
    return value, position
