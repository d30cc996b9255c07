"""Protobuf's wire format taken apart and put together again, honestly or not, without knowing any message.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

VARINT, EIGHT, DELIMITED, GROUP, END_GROUP, FOUR = range(6)
#: Numbers at which readers go wrong.
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x3FFF, 0x4000, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63,
         2**64 - 1)  # fmt: skip
TEXTS = (b"", b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"gen_ai.usage.input_tokens", b"1e999",
         b"NaN", b"-1", b"9" * 40, b"{", b"[" * 200, b'{"a":' * 60, b"null", b"'\"\\", b"\xe2\x80\xae", b"gen_ai.request.model",
         b"llm.is_streaming", b"true", b"x" * 300)  # fmt: skip

#: number, wire type, content (of a varint its bytes)
Field = tuple[int, int, bytes]


def varint(value: int, padding: int = 0) -> bytes:
    """A number; ``padding`` needless bytes more than it takes."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    if padding:
        return bytes([*out, value | 0x80, *([0x80] * (padding - 1)), 0])
    out.append(value)
    return bytes(out)


def put(field: Field, lie: int = 0) -> bytes:
    """A field as it is on the wire; ``lie`` is added to its length."""
    number, kind, content = field
    tag = varint(number << 3 | kind)
    return tag + varint(max(0, len(content) + lie)) + content if kind == DELIMITED else tag + content


def taken_apart(body: bytes) -> list[Field] | None:
    """The fields of a message; None when it is not one."""
    fields: list[Field] = []
    place = 0
    try:
        while place < len(body):
            tag, place = _number(body, place)
            start = place
            kind = tag & 7
            if kind == VARINT:
                _, place = _number(body, place)
            elif kind == DELIMITED:
                size, start = _number(body, place)
                place = start + size
            elif kind in (EIGHT, FOUR):
                place += 8 if kind == EIGHT else 4
            else:
                return None
            if place > len(body) or tag < 8:
                return None
            fields.append((tag >> 3, kind, body[start:place]))
    except IndexError:
        return None
    return fields


def _number(body: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise IndexError


def mutated(random: Random, body: bytes, other: bytes) -> bytes:
    """One mutation somewhere in the tree of messages; ``other`` is where fields to splice in come from."""
    if random.random() < 0.25 or not (fields := taken_apart(body)):
        return scrambled(random, body, other)
    return _descended(random, fields, other, 0)


def _descended(random: Random, fields: list[Field], other: bytes, depth: int) -> bytes:
    place = random.randrange(len(fields))
    number, kind, content = fields[place]
    inner = taken_apart(content) if kind == DELIMITED and content and random.random() < 0.8 else None
    if inner and depth < 12:
        new = number, kind, _descended(random, inner, other, depth + 1)
        lie = random.choice((-2, -1, 1, 2, 1 << 20)) if random.random() < 0.02 else 0
        return b"".join(
            put(field, lie if i == place else 0) for i, field in enumerate([*fields[:place], new, *fields[place + 1 :]])
        )
    return random.choice(_EDITS)(random, fields, place, other)


def _joined(fields: list[Field]) -> bytes:
    return b"".join(map(put, fields))


def _delete(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    return _joined(fields[:place] + fields[place + 1 :])


def _repeat(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    times = random.choice((2, 2, 3, 9))
    return _joined(fields[:place] + [fields[place]] * times + fields[place + 1 :])


def _repeat_apart(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    number, kind, content = fields[place]
    return _joined([*fields, (number, kind, _content(random, kind, content))])


def _shuffle(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    return _joined(random.sample(fields, len(fields)))


def _renumber(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    _, kind, content = fields[place]
    number = random.choice((0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 18999, 2**29 - 1, 2**29))
    return _joined([*fields[:place], (number, kind, content), *fields[place + 1 :]])


def _retype(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    number, _, content = fields[place]
    return _joined([*fields[:place], (number, random.randrange(8), content), *fields[place + 1 :]])


def _rewrite(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    number, kind, content = fields[place]
    return _joined([*fields[:place], (number, kind, _content(random, kind, content)), *fields[place + 1 :]])


def _content(random: Random, kind: int, content: bytes) -> bytes:
    if kind == VARINT:
        return varint(random.choice(EDGES), random.choice((0, 0, 0, 1, 3, 9)))
    if kind in (EIGHT, FOUR):
        return random.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * (8 if kind == EIGHT else 4)
    if random.random() < 0.4:
        return random.choice(TEXTS)
    return scrambled(random, content, content)


def _lie(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    lie = random.choice((-3, -1, 1, 7, 2**31, 2**63))
    return b"".join(put(field, lie if i == place else 0) for i, field in enumerate(fields))


def _splice(random: Random, fields: list[Field], place: int, other: bytes) -> bytes:
    theirs = taken_apart(other) or [(1, DELIMITED, other)]
    for _ in range(random.randrange(5)):
        _, kind, content = random.choice(theirs)
        theirs = (taken_apart(content) if kind == DELIMITED else None) or theirs
    return _joined([*fields[:place], random.choice(theirs), *fields[place:]])


def _deepen(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    """AnyValues inside AnyValues, as a list or as pairs: around where readers say that it is too deep, and far beyond."""
    value, pairs = put((1, DELIMITED, b"x")), random.random() < 0.5
    for _ in range(random.choice((1, 2, 10, 40, 46, 47, 48, 100, 400))):
        value = put((6 if pairs else 5, DELIMITED, put((1, DELIMITED, put((2, DELIMITED, value)) if pairs else value))))
    number, _, _ = fields[place]
    pair = put((1, DELIMITED, b"k")) + put((2, DELIMITED, value))
    return _joined([*fields[:place], (number, DELIMITED, random.choice((value, pair))), *fields[place:]])


def _group(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    """A group, which nobody sends any more, open or closed, around a field that is known."""
    number, closed = random.choice((1, 2, 77)), random.random() < 0.7
    inside = varint(number << 3 | GROUP) + put(fields[place]) + (varint(number << 3 | END_GROUP) if closed else b"")
    return _joined(fields[:place]) + inside + _joined(fields[place + 1 :])


def _unknown(random: Random, fields: list[Field], place: int, _other: bytes) -> bytes:
    return _joined(
        [*fields[:place], (random.choice((77, 1000, 5)), DELIMITED, b"?" * random.choice((0, 1, 200))), *fields[place:]]
    )


_Edit = Callable[[Random, list[Field], int, bytes], bytes]
_EDITS: tuple[_Edit, ...] = (_delete, _repeat, _repeat_apart, _shuffle, _renumber, _retype, _rewrite, _rewrite, _rewrite,
                             _lie, _splice, _splice, _deepen, _group, _unknown)  # fmt: skip


def scrambled(random: Random, body: bytes, other: bytes) -> bytes:
    """One mutation that knows nothing of what the bytes mean."""
    if not body:
        return random.randbytes(random.randrange(9))
    place = random.randrange(len(body))
    match random.randrange(7):
        case 0:
            return body[:place] + bytes([body[place] ^ 1 << random.randrange(8)]) + body[place + 1 :]
        case 1:
            return body[:place]
        case 2:
            return body[place:]
        case 3:
            return body[:place] + random.randbytes(random.choice((1, 2, 8))) + body[place:]
        case 4:
            return body[:place] + body[place + random.choice((1, 2, 8)) :]
        case 5:
            return body[:place] + other[random.randrange(len(other) + 1) :]
        case _:
            return body[:place] + bytes([random.choice((0, 0x7F, 0x80, 0xFF, 0x0A, 0x12))]) + body[place + 1 :]
