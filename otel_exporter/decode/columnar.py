"""Traces and logs read by ClickHouse's own protobuf reader: bytes to Arrow outside the GIL, then Polars unfolds them.

ClickHouse gives one row with one column, ``resources``: lists of structs of lists, named by `otlp.proto`. Each level
becomes a frame by unfolding the list that its parents hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from otel_exporter.decode import anyvalue
from processors.batch import (
    ATTRIBUTES,
    EVENTS,
    LEVEL,
    LINKS,
    RECORDS,
    RESOURCES,
    SCOPES,
    Batch,
    Signal,
    empty,
)

_VIEW: Final = Path(__file__).parent.parent / "otlp" / "otlp.proto"
_MESSAGE: Final = {Signal.TRACES: "Traces", Signal.LOGS: "Logs"}
_SETTINGS: Final = {
    "output_format_arrow_string_as_string": 0,  # ids are not text
    "output_format_arrow_compression_method": "none",
    "max_threads": 1,  # the request is one row
    "max_block_size": 1,
}
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})


class ArrowEngine(Protocol):
    """A ClickHouse in this process."""

    def arrow_bytes(self, sql: str) -> bytes:
        """The result of one SELECT (without FORMAT) as one Arrow IPC file."""
        ...


def decode(engine: ArrowEngine, signal: Signal, requests: Sequence[bytes], tenant: str) -> Batch:
    """All records of ``requests`` as columns.

    Raises:
        Exception: whatever the engine or Polars raises when they do not understand the bytes.
    """
    tree = pl.read_ipc(_arrow(engine, _MESSAGE[signal], requests))
    if tree.is_empty():
        return empty(signal, tenant)
    return _unfold(tree, signal, tenant)


def _arrow(engine: ArrowEngine, message: str, requests: Iterable[bytes]) -> bytes:
    """Concatenated requests are one request, in protobuf. They go through memory: not redacted yet, so never on disk."""
    settings = {"format_schema": f"{_VIEW}:{message}", **_SETTINGS}
    clause = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
    with open(os.memfd_create("otlp"), "wb", buffering=0) as memory:
        memory.write(b"".join(requests))
        return engine.arrow_bytes(f"SELECT * FROM file('/proc/self/fd/{memory.fileno()}', 'ProtobufSingle') SETTINGS {clause}")


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unfold(tree: pl.DataFrame, signal: Signal, tenant: str) -> Batch:
    resources = _members(tree, "resources", "resource").unnest("about")
    scopes = _members(resources, "scopes", "scope", "resource").unnest("about")
    records = _members(scopes, "records", "record", "resource", "scope")
    owners = {"resource": resources, "scope": scopes, "record": records}
    if signal is Signal.TRACES:
        records = records.unnest("status")
        owners["event"] = _members(records, "events", "event", "record")
        owners["link"] = _members(records, "links", "link", "record")
    else:
        records = records.with_columns(anyvalue.columns(records["body"]).select(body_type="type", body="value"))
    return empty(signal, tenant).with_frames(
        resources=_typed(resources, RESOURCES),
        scopes=_typed(scopes, SCOPES),
        records=_typed(records, RECORDS[signal]),
        attributes=_attributes(owners),
        **{f"{name}s": _typed(owners[name], schema) for name, schema in (("event", EVENTS), ("link", LINKS)) if name in owners},
    )


def _members(parents: pl.DataFrame, column: str, index: str, *kept: str) -> pl.DataFrame:
    """One row per struct in the lists of ``column``, numbered from 0 as ``index``; ``kept`` columns of its parent."""
    lists = parents.select(*kept, column).explode(column, empty_as_null=False, keep_nulls=False)
    return lists.unnest(column).with_row_index(index)


def _attributes(owners: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The attributes of every level as one frame: values are read once, for all of them."""
    parts = [
        frame.select(pl.lit(level, LEVEL).alias("level"), pl.col(level).alias("owner"), "attributes")
        .explode("attributes", empty_as_null=False, keep_nulls=False)
        .unnest("attributes")
        for level, frame in owners.items()
    ]
    rows = pl.concat(parts)
    return _typed(rows.select("level", "owner", "key").hstack(anyvalue.columns(rows.get_column("value"))), ATTRIBUTES)


def _typed(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of ``schema``: bytes become text, ids become lower-case hex."""
    return frame.select(
        pl.col(name).bin.encode("hex") if name in _IDS else pl.col(name).cast(dtype) for name, dtype in schema.items()
    )
