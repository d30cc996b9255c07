"""Traces and logs read by ClickHouse's own protobuf reader: bytes to Arrow outside the GIL, unfolded without copying.

ClickHouse gives one row with one column, ``resources``: a list of structs of lists, named by `otlp.proto`. Arrow keeps
the members of all lists of a column in one flat array, so each level of OTLP is there already; it only has to be told
to whom each member belongs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from otel_exporter.decode import anyvalue
from otel_exporter.decode.rows import blank
from processors.batch import ATTRIBUTES, EVENTS, LEVEL, LINKS, LOGS, RESOURCES, SCOPES, SPANS, Batch, Signal

_VIEW: Final = Path(__file__).parent.parent / "otlp" / "otlp.proto"
_MESSAGE: Final = {Signal.TRACES: "Traces", Signal.LOGS: "Logs"}
_SETTINGS: Final = (
    "output_format_arrow_string_as_string = 0"  # ids are not text
    ", output_format_arrow_compression_method = 'none'"
    ", max_threads = 1"  # the whole batch is one row
)
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
#: One level of OTLP: flat Arrow columns, and lists of the next levels.
Fields = dict[str, Any]


class ArrowEngine(Protocol):
    """A ClickHouse in this process: it reads our memory."""

    def arrow_bytes(self, sql: str) -> bytes:
        """The result of one SELECT (written without FORMAT) as one Arrow IPC file. Called from one thread at a time."""
        ...


def decode(engine: ArrowEngine, signal: Signal, requests: Sequence[bytes], tenant: str) -> Batch:
    """All records of ``requests`` (traces or logs, as `canonical` gives them) as columns.

    Raises:
        Exception: whatever the engine, Arrow or Polars raise when they do not understand the bytes.
    """
    arrow = _arrow(engine, _MESSAGE[signal], requests)
    tree = pa.ipc.open_file(pa.BufferReader(arrow)).read_all().column("resources").combine_chunks()
    return _batch(_unfolded(tree, signal), signal, tenant)


def _arrow(engine: ArrowEngine, message: str, requests: Sequence[bytes]) -> bytes:
    """What ClickHouse reads in the requests, which in protobuf may simply be strung together.

    They are not redacted yet, so they go through memory and never through a file system.
    """
    with os.fdopen(os.memfd_create("otlp"), "wb", buffering=0) as memory:
        memory.write(b"".join(requests))
        source = f"file('/proc/self/fd/{memory.fileno()}', 'ProtobufSingle')"
        schema = _literal(f"{_VIEW}:{message}")
        return engine.arrow_bytes(f"SELECT resources FROM {source} SETTINGS format_schema = {schema}, {_SETTINGS}")


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unfolded(tree: pa.ListArray, signal: Signal) -> dict[str, Fields]:
    """Every level of OTLP by its name in LEVEL, members in order of appearance."""
    resources = _unwrapped(_members({"resources": tree}, "resources", "request"), "about")
    scopes = _unwrapped(_members(resources, "scopes", "resource"), "about")
    records = _members(scopes, "records", "scope")
    records["resource"] = scopes["resource"].take(records["scope"])
    levels = {"resource": resources, "scope": scopes, "record": records}
    if signal is Signal.TRACES:
        levels["record"] = _unwrapped(records, "status")
        levels |= {"event": _members(records, "events", "record"), "link": _members(records, "links", "record")}
    return levels


def _members(parents: Fields, column: str, index: str) -> Fields:
    """The fields of all structs in the lists of ``column``; ``index`` says which parent each one belongs to."""
    lists = parents[column]
    return {index: pc.list_parent_indices(lists), **_fields(lists.flatten())}


def _unwrapped(level: Fields, column: str) -> Fields:
    return {**level, **_fields(level[column])}


def _fields(structs: pa.StructArray) -> Fields:
    return dict(zip(structs.type.names, structs.flatten(), strict=True))


def _batch(levels: dict[str, Fields], signal: Signal, tenant: str) -> Batch:
    frames = {"resources": _frame(levels["resource"], RESOURCES), "scopes": _frame(levels["scope"], SCOPES)}
    if signal is Signal.TRACES:
        frames["records"] = _frame(levels["record"], SPANS)
        frames |= {"events": _frame(levels["event"], EVENTS), "links": _frame(levels["link"], LINKS)}
    else:
        bodies = anyvalue.columns(pl.Series(levels["record"]["body"]))
        frames["records"] = _frame(levels["record"] | {"body_type": bodies["type"], "body": bodies["value"]}, LOGS)
    return replace(blank(signal), tenant=tenant).with_frames(**frames, attributes=_attributes(levels))


def _frame(level: Fields, schema: pl.Schema) -> pl.DataFrame:
    """The columns of ``schema``; the first of them numbers the rows."""
    index, *names = schema
    return pl.DataFrame([_column(name, level[name], schema[name]) for name in names]).with_row_index(index)


def _column(name: str, values: pa.Array | pl.Series, dtype: pl.DataType) -> pl.Series:
    """Bytes become text, ids lower-case hex. Whether text is UTF-8 is checked once more here, as it becomes text."""
    column = pl.Series(name, values)
    return column.bin.encode("hex") if name in _IDS else column.cast(dtype)


def _attributes(levels: dict[str, Fields]) -> pl.DataFrame:
    """The attributes of every level as one frame, so that the values of all levels are read together."""
    parts = {level: _members(fields, "attributes", "owner") for level, fields in levels.items()}
    rows = pa.concat_tables(pa.table(fields) for fields in parts.values())
    columns: Fields = {name: rows.column(name) for name in ("owner", "key")}
    columns |= anyvalue.columns(pl.Series(rows.column("value"))).to_dict()
    columns["level"] = pl.concat([_repeated(level, len(fields["owner"])) for level, fields in parts.items()])
    return pl.DataFrame([_column(name, columns[name], dtype) for name, dtype in ATTRIBUTES.items()])


def _repeated(level: str, times: int) -> pl.Series:
    return pl.Series("level", [level], LEVEL).new_from_index(0, times)
