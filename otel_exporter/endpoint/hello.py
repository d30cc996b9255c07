"""The answer to clickhouse-go's first question over HTTP.

Its client decodes that one answer at the protocol revision it knows itself, and every later one at the revision it was
told here. The embedded engine writes Native blocks as of revision 0 only, so 0 is what it is told.
"""

from __future__ import annotations

from typing import Final

#: What clickhouse-go asks, to the letter (`queryHello` in its conn_http.go).
QUESTION: Final = "SELECT displayName(), version(), revision(), timezone()"
#: Block info as of revision 51903: not overflowed, no bucket.
_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_NO_CUSTOM_SERIALIZATION: Final = b"\x00"  # a byte for each column since revision 54454


def answer(version: str) -> bytes:
    """One Native block of one row at a revision of 54454 or later."""
    columns = (
        ("displayName()", "String", _text("tokentide")),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", (0).to_bytes(4, "little")),
        ("timezone()", "String", _text("UTC")),
    )
    head = _BLOCK_INFO + bytes((len(columns), 1))
    return head + b"".join(_text(name) + _text(kind) + _NO_CUSTOM_SERIALIZATION + data for name, kind, data in columns)


def _text(text: str) -> bytes:
    """A short text with its length before it (a length under 128 is one byte of a varint)."""
    data = text.encode()[:127]
    return bytes((len(data),)) + data
