"""The batch: OTLP as columns, the shape OTel-Arrow uses (DESIGN 3).

Resources, scopes, records (spans, log records or metric points), events and links are one row each; attributes are
long, one row per attribute, and point to their owner by ``(level, owner)``. A resource shared by a thousand spans is
one row, so what is done to it (redaction, say) is done once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import polars as pl

from processors.contract import MOMENT, OBSERVATION_SCHEMA, schema


class Signal(StrEnum):
    """The three OTLP signals."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"


LEVEL: Final = pl.Enum(["resource", "scope", "record", "event", "link", "exemplar"])
#: How an AnyValue was sent. Nested values are JSON text; `bytes` is base64 text; `empty` is an AnyValue with no value.
VALUE_TYPE: Final = pl.Enum(["empty", "string", "bool", "int", "double", "array", "kvlist", "bytes"])

ATTRIBUTES: Final = schema(
    {"level": LEVEL, "owner": pl.UInt32, "key": pl.String, "type": VALUE_TYPE, "value": pl.String}
)
RESOURCES: Final = schema({"resource": pl.UInt32, "schema_url": pl.String})
SCOPES: Final = schema(
    {"scope": pl.UInt32, "resource": pl.UInt32, "name": pl.String, "version": pl.String, "schema_url": pl.String}
)
SPANS: Final = schema(
    {
        "record": pl.UInt32,
        "resource": pl.UInt32,
        "scope": pl.UInt32,
        "trace_id": pl.String,  # lower-case hex
        "span_id": pl.String,
        "parent_span_id": pl.String,
        "trace_state": pl.String,
        "name": pl.String,
        "kind": pl.Int32,
        "start": pl.UInt64,  # nanoseconds since 1970
        "end": pl.UInt64,
        "status_code": pl.Int32,
        "status_message": pl.String,
        "flags": pl.UInt32,
    }
)
LOGS: Final = schema(
    {
        "record": pl.UInt32,
        "resource": pl.UInt32,
        "scope": pl.UInt32,
        "time": pl.UInt64,
        "observed": pl.UInt64,
        "severity_number": pl.Int32,
        "severity_text": pl.String,
        "event_name": pl.String,
        "body_type": VALUE_TYPE,
        "body": pl.String,
        "trace_id": pl.String,
        "span_id": pl.String,
        "flags": pl.UInt32,
    }
)
METRICS: Final = schema(
    {
        "record": pl.UInt32,
        "resource": pl.UInt32,
        "scope": pl.UInt32,
        "kind": pl.String,  # gauge, sum, histogram, exponential_histogram, summary
        "name": pl.String,
        "description": pl.String,
        "unit": pl.String,
        "start": pl.UInt64,
        "time": pl.UInt64,
        "flags": pl.UInt32,
        "temporality": pl.Int32,
        "monotonic": pl.Boolean,
        "value": pl.Float64,
        "count": pl.UInt64,
        "sum": pl.Float64,
        "min": pl.Float64,
        "max": pl.Float64,
        "bucket_counts": pl.List(pl.UInt64),
        "explicit_bounds": pl.List(pl.Float64),
        "scale": pl.Int32,
        "zero_count": pl.UInt64,
        "zero_threshold": pl.Float64,
        "positive_offset": pl.Int32,
        "positive_bucket_counts": pl.List(pl.UInt64),
        "negative_offset": pl.Int32,
        "negative_bucket_counts": pl.List(pl.UInt64),
        "quantiles": pl.List(pl.Float64),
        "quantile_values": pl.List(pl.Float64),
    }
)
EVENTS: Final = schema({"event": pl.UInt32, "record": pl.UInt32, "time": pl.UInt64, "name": pl.String})
LINKS: Final = schema(
    {"link": pl.UInt32, "record": pl.UInt32, "trace_id": pl.String, "span_id": pl.String, "trace_state": pl.String}
)
EXEMPLARS: Final = schema(
    {
        "exemplar": pl.UInt32,
        "record": pl.UInt32,
        "time": pl.UInt64,
        "value": pl.Float64,
        "span_id": pl.String,
        "trace_id": pl.String,
    }
)
RECORDS: Final = {Signal.TRACES: SPANS, Signal.LOGS: LOGS, Signal.METRICS: METRICS}
_FRAMES: Final = ("resources", "scopes", "records", "events", "links", "exemplars", "attributes", "observations")


@dataclass(frozen=True)
class Batch:
    """One tenant's records of one signal. Frozen: a processor returns a new one."""

    signal: Signal
    tenant: str
    resources: pl.DataFrame
    scopes: pl.DataFrame
    records: pl.DataFrame
    events: pl.DataFrame
    links: pl.DataFrame
    exemplars: pl.DataFrame
    attributes: pl.DataFrame
    observations: pl.DataFrame

    def with_frames(self, **frames: pl.DataFrame) -> Batch:
        """This batch with some frames replaced."""
        return replace(self, **frames)  # type: ignore[arg-type]

    def attributes_of(self, level: str) -> pl.DataFrame:
        """The attributes of one level: owner, key, type, value."""
        return self.attributes.filter(pl.col("level") == level).drop("level")


def empty(signal: Signal, tenant: str = "") -> Batch:
    """A batch without rows, every frame with its schema."""
    return Batch(
        signal=signal,
        tenant=tenant,
        resources=pl.DataFrame(schema=RESOURCES),
        scopes=pl.DataFrame(schema=SCOPES),
        records=pl.DataFrame(schema=RECORDS[signal]),
        events=pl.DataFrame(schema=EVENTS),
        links=pl.DataFrame(schema=LINKS),
        exemplars=pl.DataFrame(schema=EXEMPLARS),
        attributes=pl.DataFrame(schema=ATTRIBUTES),
        observations=pl.DataFrame(schema=OBSERVATION_SCHEMA),
    )


#: (frame, its own index column, the index columns pointing elsewhere)
_INDEXES: Final = {
    "resources": ("resource",),
    "scopes": ("scope", "resource"),
    "records": ("record", "resource", "scope"),
    "events": ("event", "record"),
    "links": ("link", "record"),
    "exemplars": ("exemplar", "record"),
}
_OWNERS: Final = {
    "resource": "resources",
    "scope": "scopes",
    "record": "records",
    "event": "events",
    "link": "links",
    "exemplar": "exemplars",
}


def concat(batches: Sequence[Batch]) -> Batch:
    """All rows of ``batches`` (one signal, one tenant) as one batch, indexes shifted.

    Raises:
        ValueError: signals or tenants differ, or nothing to join.
    """
    if len({(batch.signal, batch.tenant) for batch in batches}) != 1:
        raise ValueError("only batches of one signal and one tenant can be joined")
    shifts = dict.fromkeys(_INDEXES, 0)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in _FRAMES}
    for batch in batches:
        for name in _FRAMES:
            parts[name].append(_shift(getattr(batch, name), name, shifts))
        for name in shifts:
            shifts[name] += getattr(batch, name).height
    return batches[0].with_frames(**{name: pl.concat(frames, rechunk=True) for name, frames in parts.items()})


def _shift(frame: pl.DataFrame, name: str, shifts: dict[str, int]) -> pl.DataFrame:
    if name == "observations":
        return frame
    if name == "attributes":
        by_level = {level: shifts[owner] for level, owner in _OWNERS.items()}
        offset = pl.col("level").replace_strict(by_level, return_dtype=pl.UInt32)
        return frame.with_columns(owner=pl.col("owner") + offset)
    return frame.with_columns((pl.col(index) + shifts[f"{index}s"]).cast(pl.UInt32) for index in _INDEXES[name])


def moment(nanoseconds: pl.Expr) -> pl.Expr:
    """Nanoseconds since 1970 (UInt64, as OTLP sends them) as a UTC timestamp; beyond 2262 it is the last moment."""
    return nanoseconds.clip(0, 2**63 - 1).cast(pl.Int64).cast(MOMENT)
