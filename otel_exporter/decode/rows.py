"""Frames filled row by row, for what is read message by message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, Final

import polars as pl
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_exporter.decode import anyvalue
from processors.batch import (
    ATTRIBUTES,
    EVENTS,
    EXEMPLARS,
    LEVEL,
    LINKS,
    RECORDS,
    RESOURCES,
    SCOPES,
    Batch,
    Signal,
    empty,
)

_LEVELS: Final = tuple(LEVEL.categories)


@cache
def blank(signal: Signal) -> Batch:
    """A batch without rows, made once: its frames are many and wide."""
    return empty(signal)


class Rows:
    """The rows of a batch in the making. A row is its columns in the order of the schema, without its own index."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        levels = (RESOURCES, SCOPES, RECORDS[signal], EVENTS, LINKS, EXEMPLARS)
        self._schemas = dict(zip(_LEVELS, levels, strict=True))
        self._rows: dict[str, list[tuple[Any, ...]]] = {level: [] for level in _LEVELS}
        self._attributes: dict[str, list[tuple[Any, ...]]] = {level: [] for level in _LEVELS}

    def add(self, level: str, *row: Any, attributes: Iterable[KeyValue]) -> int:
        """Adds a member of ``level`` with its attributes; returns its index."""
        rows = self._rows[level]
        index = len(rows)
        rows.append((index, *row))
        self._attributes[level] += [(level, index, item.key, *anyvalue.text(item.value)) for item in attributes]
        return index

    def batch(self, tenant: str) -> Batch:
        """The rows so far as frames."""
        frames = {f"{level}s": _frame(self._rows[level], schema) for level, schema in self._schemas.items()}
        attributes = [row for level in _LEVELS for row in self._attributes[level]]
        return replace(blank(self._signal), tenant=tenant).with_frames(
            **frames, attributes=_frame(attributes, ATTRIBUTES)
        )


def _frame(rows: list[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    named = zip(schema.items(), columns, strict=True)
    return pl.DataFrame([pl.Series(name, values, dtype) for (name, dtype), values in named])
