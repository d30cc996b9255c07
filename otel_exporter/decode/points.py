"""Metrics: one row per data point, whatever its kind; columns that a kind does not have are null."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric

from otel_exporter.decode.door import points
from otel_exporter.decode.rows import Rows
from processors.batch import METRICS

_COLUMNS: Final = tuple(METRICS)[3:]  # after the indexes


def add_metric(rows: Rows, resource: int, scope: int, metric: Metric) -> None:
    """Adds every point of ``metric``, with its exemplars."""
    kind = metric.WhichOneof("data") or ""
    shared: dict[str, Any] = {"kind": kind, "name": metric.name, "description": metric.description, "unit": metric.unit}
    if kind in {"sum", "histogram", "exponential_histogram"}:
        shared["temporality"] = getattr(metric, kind).aggregation_temporality
    if kind == "sum":
        shared["monotonic"] = metric.sum.is_monotonic
    for point in points(metric):
        said = shared | _times(point) | _MEASURES[kind](point)
        record = rows.add("record", resource, scope, *map(said.get, _COLUMNS), attributes=point.attributes)
        if kind != "summary":
            _add_exemplars(rows, record, point.exemplars)


def _add_exemplars(rows: Rows, record: int, exemplars: Iterable[Exemplar]) -> None:
    for exemplar in exemplars:
        ids = (exemplar.span_id.hex(), exemplar.trace_id.hex())
        attributes = exemplar.filtered_attributes
        rows.add("exemplar", record, exemplar.time_unix_nano, _number(exemplar), *ids, attributes=attributes)


def _times(point: Any) -> dict[str, Any]:
    return {"start": point.start_time_unix_nano, "time": point.time_unix_nano, "flags": point.flags}


def _number(point: Any) -> float | None:
    """A number as a double (integers beyond 2**53 lose digits); null when none was recorded."""
    kind = point.WhichOneof("value")
    return float(getattr(point, kind)) if kind else None


def _value(point: Any) -> dict[str, Any]:
    return {"value": _number(point)}


def _summary(point: Any) -> dict[str, Any]:
    quantiles = [item.quantile for item in point.quantile_values]
    values = [item.value for item in point.quantile_values]
    return {"count": point.count, "sum": point.sum, "quantiles": quantiles, "quantile_values": values}


def _distribution(point: Any) -> dict[str, Any]:
    said = {name: getattr(point, name) for name in ("sum", "min", "max") if point.HasField(name)}
    return {"count": point.count, **said}


def _histogram(point: Any) -> dict[str, Any]:
    buckets = {"bucket_counts": list(point.bucket_counts), "explicit_bounds": list(point.explicit_bounds)}
    return _distribution(point) | buckets


def _exponential(point: Any) -> dict[str, Any]:
    return _distribution(point) | {
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset,
        "positive_bucket_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_bucket_counts": list(point.negative.bucket_counts),
    }


_MEASURES: Final = {
    "gauge": _value,
    "sum": _value,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}
