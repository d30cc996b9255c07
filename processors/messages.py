"""Content that policy keeps is stored once: a message is a row of `genai_content`, and where it stood is a reference.

An attribute with a list of messages becomes ``once:[{<hash>}, {<hash>}]``: the text as it was, with each long element
replaced by the hash of its text in braces. Putting the texts of the hashes back gives the attribute byte for byte. The
hash covers the tenant, so that equal messages of two tenants are two rows and a reference never leads to another's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final

import polars as pl

from processors.batch import Batch, Signal
from processors.landing import GENAI_CONTENT
from processors.recognise import bodies, content_attributes, content_kinds, genai_kinds

MARK: Final = "once:"
#: Shorter texts stay where they are: a reference is 39 bytes, and a row has a cost.
SHORTEST: Final = 64
_HASH_BYTES: Final = 16
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()
_LEVELS: Final = ("record", "event")
Span = tuple[int, int]


class Messages:
    """Takes the messages out of batches. A text counts as content by the rules of `processors.recognise`."""

    def __init__(self) -> None:
        self._kinds, self._genai = content_kinds(), genai_kinds()

    def __call__(self, batch: Batch, seen_at: datetime) -> tuple[Batch, pl.DataFrame]:
        """The batch with references, and the rows of `genai_content` they lead to: each message once.

        Args:
            batch: spans or log records; others come back as they are.
            seen_at: written on the rows; a message is kept for its time from then on.
        """
        if batch.signal is Signal.METRICS or (batch.attributes.is_empty() and batch.signal is Signal.TRACES):
            return batch, pl.DataFrame(schema=GENAI_CONTENT)
        content = self._content(batch)
        told = bodies(batch, self._genai)[0] if batch.signal is Signal.LOGS else None
        texts = _chosen(batch.attributes["value"], content)
        if told is not None:
            texts = texts.append(_chosen(batch.records["body"], told))
        if texts.is_empty():
            return batch, pl.DataFrame(schema=GENAI_CONTENT)
        stored = _Stored(batch.tenant)
        places = {text: stored.template(text) for text in texts.unique(maintain_order=True)}
        referring = batch.with_frames(attributes=_replaced(batch.attributes, "value", places, content))
        if told is not None:
            referring = referring.with_frames(records=_replaced(batch.records, "body", places, told))
        return referring, stored.rows(seen_at)

    def _content(self, batch: Batch) -> pl.Series:
        """Attributes of records and their events; those of resources are few, and are shared anyway."""
        content = content_attributes(batch, self._kinds(batch.attributes["key"]))
        return content & batch.attributes["level"].is_in(_LEVELS)


def _chosen(values: pl.Series, content: pl.Series) -> pl.Series:
    worth_it = (values.str.len_bytes() >= SHORTEST) | values.str.starts_with(MARK)  # nothing else may look like ours
    return values.filter(content & worth_it.fill_null(False)).rename("text")


def _replaced(frame: pl.DataFrame, column: str, places: Mapping[str, str], chosen: pl.Series) -> pl.DataFrame:
    """The frame with every chosen text that was stored replaced by its template."""
    table = pl.DataFrame([[*places], [*places.values()]], schema={column: pl.String, "place": pl.String})
    found = frame.select(column).join(table, on=column, how="left", maintain_order="left")["place"]
    return frame.with_columns(pl.when(chosen).then(pl.coalesce(found, column)).otherwise(column).alias(column))


class _Stored:
    """The messages of one batch, by hash."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._texts: dict[str, str] = {}

    def template(self, text: str) -> str:
        """The text with its long parts replaced by their hashes."""
        pieces, written = [MARK], 0
        for start, end in _parts(text):
            pieces += [text[written:start], self._reference(text[start:end])]
            written = end
        return "".join([*pieces, text[written:]])

    def rows(self, seen_at: datetime) -> pl.DataFrame:
        """All of them as rows."""
        columns = {"hash": list(self._texts), "text": list(self._texts.values())}
        rows = pl.DataFrame(columns, schema={"hash": pl.String, "text": pl.String})
        moment = pl.lit(seen_at).cast(GENAI_CONTENT["last_seen"])
        return rows.select(tenant=pl.lit(self._tenant), hash="hash", text="text", last_seen=moment)

    def _reference(self, text: str) -> str:
        content = f"{self._tenant}\0{text}".encode(errors="surrogatepass")
        name = blake2b(content, digest_size=_HASH_BYTES).hexdigest()
        self._texts[name] = text
        return f"{{{name}}}"


def _parts(text: str) -> list[Span]:
    """Where the messages of a text are; all of it when it is no list of messages, or when nothing in it is long."""
    try:
        parts = list(_elements(text))
    except (ValueError, RecursionError):  # no JSON
        parts = []
    covered = sum(end - start for start, end in parts)
    return parts if len(text) - covered < SHORTEST * (len(parts) + 1) and parts else [(0, len(text))]


def _elements(text: str) -> Iterator[Span]:
    """Long elements of the list, or of the lists directly in the object, that ``text`` is."""
    start = _skip(text, 0)
    if text.startswith("[", start):
        yield from _items(text, start)[0]
    elif text.startswith("{", start):
        yield from _members(text, start)


def _members(text: str, at: int) -> Iterator[Span]:
    at = _skip(text, at + 1)
    while not text.startswith("}", at):
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # the colon
        if text.startswith("[", at):
            parts, at = _items(text, at)
            yield from parts
        else:
            start = at
            _, at = _DECODER.raw_decode(text, at)
            yield from _long(start, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text.startswith(",", at) else at


def _items(text: str, at: int) -> tuple[list[Span], int]:
    """The long items of the list that begins at ``at``, and where it ends."""
    parts: list[Span] = []
    at = _skip(text, at + 1)
    while not text.startswith("]", at):
        start = at
        _, at = _DECODER.raw_decode(text, at)
        parts += _long(start, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text.startswith(",", at) else at
    return parts, at + 1


def _long(start: int, end: int) -> list[Span]:
    return [(start, end)] if end - start >= SHORTEST else []


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
