"""The landing tables as Polars schemas: what a batch looks like on its way into ClickHouse.

`otel_*` have the insert columns of the OpenTelemetry Collector's clickhouseexporter, in its order, so that whatever
reads its tables reads ours. A Nested column is flat here (`Events.Name`), one list a row; the lists of one Nested
column have equal lengths. `clickhouse_schema` proves that these schemas are the tables' columns.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.contract import MAP, MOMENT, MONEY, Dtype, schema

_NUMBERS: Final = pl.List(pl.UInt64)

OTEL_TRACES: Final = schema(
    {
        "Timestamp": MOMENT,  # start of the span
        "TraceId": pl.String,  # ids are lower-case hex
        "SpanId": pl.String,
        "ParentSpanId": pl.String,
        "TraceState": pl.String,
        "SpanName": pl.String,
        "SpanKind": pl.String,  # Unspecified, Internal, Server, Client, Producer, Consumer
        "ServiceName": pl.String,
        "ResourceAttributes": MAP,
        "ScopeName": pl.String,
        "ScopeVersion": pl.String,
        "SpanAttributes": MAP,
        "Duration": pl.UInt64,  # nanoseconds
        "StatusCode": pl.String,  # Unset, Ok, Error
        "StatusMessage": pl.String,
        "Events.Timestamp": pl.List(MOMENT),
        "Events.Name": pl.List(pl.String),
        "Events.Attributes": pl.List(MAP),
        "Links.TraceId": pl.List(pl.String),
        "Links.SpanId": pl.List(pl.String),
        "Links.TraceState": pl.List(pl.String),
        "Links.Attributes": pl.List(MAP),
    }
)
OTEL_LOGS: Final = schema(
    {
        "Timestamp": MOMENT,
        "TraceId": pl.String,
        "SpanId": pl.String,
        "TraceFlags": pl.UInt8,
        "SeverityText": pl.String,
        "SeverityNumber": pl.UInt8,
        "ServiceName": pl.String,
        "Body": pl.String,
        "ResourceSchemaUrl": pl.String,
        "ResourceAttributes": MAP,
        "ScopeSchemaUrl": pl.String,
        "ScopeName": pl.String,
        "ScopeVersion": pl.String,
        "ScopeAttributes": MAP,
        "LogAttributes": MAP,
        "EventName": pl.String,
    }
)
#: What every metric point has.
_POINT: Final[dict[str, Dtype]] = {
    "ResourceAttributes": MAP,
    "ResourceSchemaUrl": pl.String,
    "ScopeName": pl.String,
    "ScopeVersion": pl.String,
    "ScopeAttributes": MAP,
    "ScopeDroppedAttrCount": pl.UInt32,
    "ScopeSchemaUrl": pl.String,
    "ServiceName": pl.String,
    "MetricName": pl.String,
    "MetricDescription": pl.String,
    "MetricUnit": pl.String,
    "Attributes": MAP,
    "StartTimeUnix": MOMENT,
    "TimeUnix": MOMENT,
}
_EXEMPLARS: Final[dict[str, Dtype]] = {
    "Exemplars.FilteredAttributes": pl.List(MAP),
    "Exemplars.TimeUnix": pl.List(MOMENT),
    "Exemplars.Value": pl.List(pl.Float64),
    "Exemplars.SpanId": pl.List(pl.String),
    "Exemplars.TraceId": pl.List(pl.String),
}
_EXTREMES: Final[dict[str, Dtype]] = {
    "Flags": pl.UInt32,
    "Min": pl.Float64,
    "Max": pl.Float64,
    "AggregationTemporality": pl.Int32,  # as OTLP numbers it: 1 delta, 2 cumulative
}
OTEL_METRICS_GAUGE: Final = schema({**_POINT, "Value": pl.Float64, "Flags": pl.UInt32, **_EXEMPLARS})
OTEL_METRICS_SUM: Final = schema(
    {**OTEL_METRICS_GAUGE, "AggregationTemporality": pl.Int32, "IsMonotonic": pl.Boolean},
)
OTEL_METRICS_HISTOGRAM: Final = schema(
    {
        **_POINT,
        "Count": pl.UInt64,
        "Sum": pl.Float64,
        "BucketCounts": _NUMBERS,
        "ExplicitBounds": pl.List(pl.Float64),
        **_EXEMPLARS,
        **_EXTREMES,
    }
)
OTEL_METRICS_EXPONENTIAL_HISTOGRAM: Final = schema(
    {
        **_POINT,
        "Count": pl.UInt64,
        "Sum": pl.Float64,
        "Scale": pl.Int32,
        "ZeroCount": pl.UInt64,
        "PositiveOffset": pl.Int32,
        "PositiveBucketCounts": _NUMBERS,
        "NegativeOffset": pl.Int32,
        "NegativeBucketCounts": _NUMBERS,
        **_EXEMPLARS,
        **_EXTREMES,
    }
)
OTEL_METRICS_SUMMARY: Final = schema(
    {
        **_POINT,
        "Count": pl.UInt64,
        "Sum": pl.Float64,
        "ValueAtQuantiles.Quantile": pl.List(pl.Float64),
        "ValueAtQuantiles.Value": pl.List(pl.Float64),
        "Flags": pl.UInt32,
    }
)
#: Budgets and rate limits as one span showed them: the gateway's own counters and the provider's headroom.
GENAI_LIMITS: Final = schema(
    {
        "observed_at": MOMENT,
        "tenant": pl.String,
        "scope": pl.String,  # key, team, user, organization or deployment
        "id": pl.String,
        "alias": pl.String,
        "max_budget_usd": MONEY,
        "spend_usd": MONEY,
        "reset_at": MOMENT,
        "remaining_requests": pl.Int64,
        "remaining_tokens": pl.Int64,
        "trace_id": pl.String,
        "span_id": pl.String,
    }
)
#: Requests that the gateway refused before any provider was called.
GENAI_REFUSALS: Final = schema(
    {
        "observed_at": MOMENT,
        "tenant": pl.String,
        "reason": pl.String,  # authentication, budget, rate_limit, guardrail or other
        "error_type": pl.String,
        "error_code": pl.String,
        "requested_model": pl.String,
        "team": pl.String,
        "team_id": pl.String,
        "user_id": pl.String,
        "api_key_alias": pl.String,
        "api_key_hash": pl.String,
        "application": pl.String,
        "gateway": pl.String,
        "trace_id": pl.String,
        "span_id": pl.String,
    }
)
#: Names behind a gateway's ids, as an import told them. `team_id` and the like are what something belongs to.
GENAI_NAMES: Final = schema(
    {
        "imported_at": MOMENT,
        "tenant": pl.String,
        "source": pl.String,  # whose names these are: litellm
        "kind": pl.String,  # organization, team, project, key or user
        "id": pl.String,
        "name": pl.String,
        "organization_id": pl.String,
        "team_id": pl.String,
        "user_id": pl.String,
    }
)
#: A gateway's books next to ours: one row per run, dimension, member and day.
GENAI_AGREEMENT: Final = schema(
    {
        "compared_at": MOMENT,
        "tenant": pl.String,
        "run_id": pl.String,
        "gateway": pl.String,
        "dimension": pl.String,  # total, team, key or model
        "member": pl.String,  # '' for the total
        "day": MOMENT,
        "theirs_usd": MONEY,
        "ours_usd": MONEY,
        "unseen_usd": MONEY,
        "only_ours_usd": MONEY,
        "cache_hits_usd": MONEY,
        "prices_usd": MONEY,
        "rounding_usd": MONEY,
        "time_zone_usd": MONEY,
        "attribution_usd": MONEY,
        "imported_usd": MONEY,
        "theirs_calls": pl.Int64,
        "ours_calls": pl.Int64,
        "unseen_calls": pl.Int64,
        "only_ours_calls": pl.Int64,
    }
)
#: Messages that the content policy keeps, each once; spans and logs refer to them by hash (`processors.messages`).
GENAI_CONTENT: Final = schema(
    {
        "tenant": pl.String,
        "hash": pl.String,  # of tenant and text
        "text": pl.String,
        "last_seen": pl.Datetime("ms", "UTC"),  # when it last arrived (once a day and process)
    }
)
LANDING: Final[dict[str, pl.Schema]] = {
    "otel_traces": OTEL_TRACES,
    "otel_logs": OTEL_LOGS,
    "otel_metrics_gauge": OTEL_METRICS_GAUGE,
    "otel_metrics_sum": OTEL_METRICS_SUM,
    "otel_metrics_histogram": OTEL_METRICS_HISTOGRAM,
    "otel_metrics_exponential_histogram": OTEL_METRICS_EXPONENTIAL_HISTOGRAM,
    "otel_metrics_summary": OTEL_METRICS_SUMMARY,
    "genai_limits": GENAI_LIMITS,
    "genai_refusals": GENAI_REFUSALS,
    "genai_content": GENAI_CONTENT,
    "genai_names": GENAI_NAMES,
    "genai_agreement": GENAI_AGREEMENT,
}
