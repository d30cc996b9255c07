"""`land`: a finished batch as rows of the tables of the Collector's clickhouseexporter (DESIGN 6).

Columns and values are the exporter's: ids in lower-case hex, kinds and status codes by name, attribute values as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from processors.batch import LEVEL, VALUE_TYPE, Batch, Signal, moment
from processors.contract import MAP, OBSERVATION_SCHEMA, Role
from processors.landing import LANDING
from processors.limits import limits
from processors.refusals import refusals
from processors.told import told

OBSERVATIONS: Final = "observations"
#: opentelemetry-proto trace.proto, as pdata prints them.
SPAN_KINDS: Final = {0: "Unspecified", 1: "Internal", 2: "Server", 3: "Client", 4: "Producer", 5: "Consumer"}
STATUS_CODES: Final = {0: "Unset", 1: "Ok", 2: "Error"}
_EMPTY_MAP: Final = pl.lit([], pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).cast(MAP)


#: Whose a row of the exporter's tables is, where those have no column for it. Only we say it, never the sender.
TENANT_ATTRIBUTE: Final = "tokentide.tenant"
DEFAULT_TENANT: Final = "default"


def land(batch: Batch, whole: Batch | None = None) -> dict[str, pl.DataFrame]:
    """Table name -> rows to insert; `observations` are for the ledger. Tables without rows are left out.

    ``whole`` is the batch with the attributes that are not stored: limits and refusals are made of it.
    """
    whole = whole or batch
    batch = _marked(batch)
    tables = {**_LANDERS[batch.signal](batch), OBSERVATIONS: _for_ledger(batch.observations)}
    tables |= {"genai_limits": limits(whole), "genai_refusals": refusals(whole)}
    for name, rows in told(whole).items():
        tables[name] = pl.concat([tables[name], rows]) if name in tables else rows
    return {name: rows for name, rows in tables.items() if rows.height}


def _marked(batch: Batch) -> Batch:
    """With the tenant as an attribute of every resource, unless it is the default one."""
    claimed = (pl.col("level") == "resource") & (pl.col("key") == TENANT_ATTRIBUTE)
    attributes = batch.attributes.filter(~claimed)
    if batch.tenant not in {"", DEFAULT_TENANT}:
        mark = batch.resources.select(
            level=pl.lit("resource", LEVEL),
            owner=pl.col("resource"),
            key=pl.lit(TENANT_ATTRIBUTE),
            type=pl.lit("string", VALUE_TYPE),
            value=pl.lit(batch.tenant),
        )
        attributes = pl.concat([attributes, mark])
    return batch.with_frames(attributes=attributes)


def _for_ledger(observations: pl.DataFrame) -> pl.DataFrame:
    return observations.filter(pl.col("role") != Role.REFUSAL.value).select(OBSERVATION_SCHEMA.names())


def _traces(batch: Batch) -> dict[str, pl.DataFrame]:
    spans = _with_surroundings(batch)
    events = {"Timestamp": moment(pl.col("time")), "Name": pl.col("name")}
    spans = _with_children(spans, batch, "event", "Events", events)
    links = {"TraceId": pl.col("trace_id"), "SpanId": pl.col("span_id"), "TraceState": pl.col("trace_state")}
    spans = _with_children(spans, batch, "link", "Links", links)
    rows = spans.select(
        Timestamp=moment(pl.col("start")),
        TraceId="trace_id",
        SpanId="span_id",
        ParentSpanId="parent_span_id",
        TraceState="trace_state",
        SpanName="name",
        SpanKind=pl.col("kind").replace_strict(SPAN_KINDS, default="Unspecified"),
        ServiceName="ServiceName",
        ResourceAttributes="ResourceAttributes",
        ScopeName="ScopeName",
        ScopeVersion="ScopeVersion",
        SpanAttributes="Attributes",
        Duration=pl.when(pl.col("end") > pl.col("start")).then(pl.col("end") - pl.col("start")).otherwise(0),
        StatusCode=pl.col("status_code").replace_strict(STATUS_CODES, default="Unset"),
        StatusMessage="status_message",
        **{name: pl.col(name) for name in LANDING["otel_traces"].names() if "." in name},
    )
    return {"otel_traces": _shaped(rows, "otel_traces")}


def _logs(batch: Batch) -> dict[str, pl.DataFrame]:
    logs = _with_surroundings(batch)
    rows = logs.select(
        Timestamp=moment(pl.when(pl.col("time") > 0).then("time").otherwise("observed")),
        TraceId="trace_id",
        SpanId="span_id",
        TraceFlags=(pl.col("flags") % 256).cast(pl.UInt8),
        SeverityText="severity_text",
        SeverityNumber=pl.col("severity_number").clip(0, 255).cast(pl.UInt8),
        ServiceName="ServiceName",
        Body="body",
        ResourceSchemaUrl="ResourceSchemaUrl",
        ResourceAttributes="ResourceAttributes",
        ScopeSchemaUrl="ScopeSchemaUrl",
        ScopeName="ScopeName",
        ScopeVersion="ScopeVersion",
        ScopeAttributes="ScopeAttributes",
        LogAttributes="Attributes",
        EventName="event_name",
    )
    return {"otel_logs": _shaped(rows, "otel_logs")}


_POINT: Final[Mapping[str, pl.Expr]] = {
    "Value": pl.col("value"),
    "Count": pl.col("count"),
    "Sum": pl.col("sum"),
    "Min": pl.col("min"),
    "Max": pl.col("max"),
    "BucketCounts": pl.col("bucket_counts"),
    "ExplicitBounds": pl.col("explicit_bounds"),
    "Scale": pl.col("scale"),
    "ZeroCount": pl.col("zero_count"),
    "ZeroThreshold": pl.col("zero_threshold"),
    "PositiveOffset": pl.col("positive_offset"),
    "PositiveBucketCounts": pl.col("positive_bucket_counts"),
    "NegativeOffset": pl.col("negative_offset"),
    "NegativeBucketCounts": pl.col("negative_bucket_counts"),
    "ValueAtQuantiles.Quantile": pl.col("quantiles"),
    "ValueAtQuantiles.Value": pl.col("quantile_values"),
    "AggregationTemporality": pl.col("temporality"),
    "IsMonotonic": pl.col("monotonic"),
    "MetricName": pl.col("name"),
    "MetricDescription": pl.col("description"),
    "MetricUnit": pl.col("unit"),
    "StartTimeUnix": moment(pl.col("start")),
    "TimeUnix": moment(pl.col("time")),
    "Flags": pl.col("flags"),
}


def _metrics(batch: Batch) -> dict[str, pl.DataFrame]:
    exemplars = {
        "TimeUnix": moment(pl.col("time")),
        "Value": pl.col("value"),
        "SpanId": pl.col("span_id"),
        "TraceId": pl.col("trace_id"),
    }
    points = _with_surroundings(batch)
    points = _with_children(points, batch, "exemplar", "Exemplars", exemplars, attributes="FilteredAttributes")
    tables = {}
    for kind in points["kind"].unique().to_list():
        table = f"otel_metrics_{kind}"
        columns = [_POINT[name].alias(name) if name in _POINT else pl.col(name) for name in LANDING[table].names()]
        tables[table] = _shaped(points.filter(pl.col("kind") == kind).select(columns), table)
    return tables


def _with_surroundings(batch: Batch) -> pl.DataFrame:
    """Records with their own attributes, their resource's and their scope's."""
    own = _maps(batch, "record", "Attributes")
    resources = (
        batch.resources.select("resource", ResourceSchemaUrl="schema_url")
        .join(_service_names(batch), on="resource", how="left")
        .join(_maps(batch, "resource", "ResourceAttributes"), on="resource", how="left")
        .with_columns(pl.col("ServiceName").fill_null(""), pl.col("ResourceAttributes").fill_null(_EMPTY_MAP))
    )
    scopes = (
        batch.scopes.select("scope", ScopeName="name", ScopeVersion="version", ScopeSchemaUrl="schema_url")
        .join(_maps(batch, "scope", "ScopeAttributes"), on="scope", how="left")
        .with_columns(pl.col("ScopeAttributes").fill_null(_EMPTY_MAP), ScopeDroppedAttrCount=pl.lit(0, pl.UInt32))
    )
    return (
        batch.records.join(own, on="record", how="left", maintain_order="left")
        .join(resources, on="resource", how="left", maintain_order="left")
        .join(scopes, on="scope", how="left", maintain_order="left")
        .with_columns(pl.col("Attributes").fill_null(_EMPTY_MAP))
    )


def _service_names(batch: Batch) -> pl.DataFrame:
    said = batch.attributes.filter((pl.col("level") == "resource") & (pl.col("key") == "service.name"))
    return said.unique("owner", keep="first").select(resource="owner", ServiceName="value")


def _maps(batch: Batch, level: str, name: str) -> pl.DataFrame:
    """(<level>, <name>): the attributes of one level as maps; of a key sent twice the first stays."""
    said = batch.attributes.filter(pl.col("level") == level)
    if said.select(pl.struct("owner", "key").n_unique()).item() < said.height:  # hardly ever, and asking costs less
        said = said.unique(["owner", "key"], keep="first", maintain_order=True)
    return (
        said.group_by("owner", maintain_order=True)
        .agg(pl.struct("key", "value").alias(name))
        .select(pl.col("owner").alias(level), pl.col(name).cast(MAP))
    )


def _with_children(
    rows: pl.DataFrame,
    batch: Batch,
    level: str,
    nested: str,
    columns: Mapping[str, pl.Expr],
    attributes: str = "Attributes",
) -> pl.DataFrame:
    """Rows with their events, links or exemplars as parallel lists ``Nested.Column``."""
    children: pl.DataFrame = getattr(batch, f"{level}s")
    names = [f"{nested}.{name}" for name in (*columns, attributes)]
    if children.is_empty():
        table = {Signal.TRACES: "otel_traces", Signal.METRICS: "otel_metrics_gauge"}[batch.signal]
        return rows.with_columns(pl.lit([], LANDING[table][name]).alias(name) for name in names)
    maps = _maps(batch, level, attributes)
    lists = (
        children.join(maps, on=level, how="left", maintain_order="left")
        .with_columns(pl.col(attributes).fill_null(_EMPTY_MAP))
        .select("record", *(value.alias(name) for name, value in columns.items()), attributes)
        .group_by("record", maintain_order=True)
        .agg(pl.col(name).alias(f"{nested}.{name}") for name in (*columns, attributes))
    )
    joined = rows.join(lists, on="record", how="left", maintain_order="left")
    return joined.with_columns(pl.col(name).fill_null(pl.lit([], joined.schema[name])) for name in names)


def _shaped(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    """Exactly the table's insert columns, in their types."""
    lists = {name: dtype for name, dtype in LANDING[table].items() if isinstance(dtype, pl.List)}
    filled = rows.with_columns(pl.col(name).cast(dtype).fill_null(pl.lit([], dtype)) for name, dtype in lists.items())
    return filled.select(pl.col(name).cast(dtype) for name, dtype in LANDING[table].items())


_LANDERS: Final[dict[Signal, Callable[[Batch], dict[str, pl.DataFrame]]]] = {
    Signal.TRACES: _traces,
    Signal.LOGS: _logs,
    Signal.METRICS: _metrics,
}
