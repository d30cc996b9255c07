"""The service's own metrics as OTLP, through its own pipeline: durable and landed as anybody's, counted as nobody's.

What the receivers count (`tokentide_received_records_total`) never sees them, because they enter behind the receivers,
and a metric point is no call. `tokentide_stored_rows_total` counts their rows: they are stored.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import polars as pl
import structlog
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, ScopeMetrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as Told

from otel_exporter.assembly import Watcher
from otel_exporter.commit import Request, Tables
from otel_exporter.schedule import Job
from otel_exporter.telemetry import Metric, Sample
from processors.batch import Signal

if TYPE_CHECKING:
    from otel_exporter.config.self_monitoring import SelfMonitoringSettings
    from otel_exporter.pipeline import Pipeline

log = structlog.get_logger(__name__)
NAME: Final = "own metrics"
SERVICE: Final = "tokentide"
SCOPE: Final = "tokentide.self_monitoring"
_CUMULATIVE: Final = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
#: A gauge without labels: whoever reads /metrics sends it with every round.
_TELLTALE: Final = Metric.SPOOL_BYTES.declared.name
#: Somebody else sends them as long as the last round is not older. Scrapers come every minute or more often.
_FOREIGN: Final = timedelta(minutes=5)
_PATIENCE: Final = 30.0  # seconds


class SelfMonitoring(Watcher):
    """Sends the metrics of this process, unless they come from elsewhere. Any thread."""

    def __init__(self, settings: SelfMonitoringSettings) -> None:
        self._settings = settings
        self._start = time.time_ns()
        self._instance = secrets.token_hex(8)
        self._came: datetime | None = None

    def jobs(self, pipeline: Pipeline) -> list[Job]:
        """What has to be done on a schedule, if anything."""
        if not self._settings.enabled:
            return []
        interval = timedelta(seconds=self._settings.interval_seconds)

        def run(now: datetime, _stopping: threading.Event) -> None:
            if self._comes_from_elsewhere(now):
                return
            # No tenant: it is nobody's usage.
            pipeline.submit(Request(Signal.METRICS, "", self.export(now))).result(_PATIENCE)

        return [Job(NAME, interval, run, delay=interval)]

    def committed(self, tenant: str, tables: Tables) -> None:
        """Notice own metrics that come from elsewhere: a Collector that reads `/metrics`."""
        gauges = tables.get("otel_metrics_gauge")
        if gauges is None:
            return
        if gauges.select(((pl.col("MetricName") == _TELLTALE) & (pl.col("ScopeName") != SCOPE)).any()).item():
            if self._came is None:
                log.info("own metrics come from a Collector, so they are not written twice")
            self._came = datetime.now(UTC)

    def _comes_from_elsewhere(self, now: datetime) -> bool:
        return self._came is not None and now - self._came < _FOREIGN

    def export(self, now: datetime) -> bytes:
        """One point of every series as a serialized ExportMetricsServiceRequest."""
        request = ExportMetricsServiceRequest()
        block = request.resource_metrics.add()
        said = {"service.name": SERVICE, "service.version": version("tokentide"), "service.instance.id": self._instance}
        block.resource.attributes.extend(_attributes(said))
        scope = block.scope_metrics.add()
        scope.scope.name = SCOPE
        at = int(now.timestamp() * 1e9)
        for metric in Metric:
            self._add(scope, metric, at)
        return request.SerializeToString()

    def _add(self, scope: ScopeMetrics, metric: Metric, at: int) -> None:
        declared, samples = metric.declared, metric.samples()
        told = Told(name=declared.name, description=declared.meaning)
        if declared.kind == "histogram":
            _histogram(told, samples, self._start, at)
        elif declared.kind == "gauge":
            for sample in samples:
                told.gauge.data_points.add(
                    as_double=sample.value, time_unix_nano=at, attributes=_attributes(sample.labels)
                )
        else:
            told.sum.is_monotonic = True
            told.sum.aggregation_temporality = _CUMULATIVE
            # What was never counted is 0, and no labels are known for it yet.
            for sample in [each for each in samples if each.name == declared.name] or [Sample(declared.name, {}, 0.0)]:
                told.sum.data_points.add(
                    as_double=sample.value,
                    start_time_unix_nano=self._start,
                    time_unix_nano=at,
                    attributes=_attributes(sample.labels),
                )
        if told.WhichOneof("data"):
            scope.metrics.append(told)


def _histogram(told: Told, samples: Iterable[Sample], start: int, at: int) -> None:
    """Prometheus' buckets hold what the smaller ones hold too; OTLP's do not. Histograms have no labels here."""
    samples = list(samples)
    bounds = [float(sample.labels["le"]) for sample in samples if "le" in sample.labels]
    upto = [int(sample.value) for sample in samples if "le" in sample.labels]
    (total,) = [sample.value for sample in samples if sample.name.endswith("_sum")]
    told.histogram.aggregation_temporality = _CUMULATIVE
    told.histogram.data_points.add(
        start_time_unix_nano=start,
        time_unix_nano=at,
        count=upto[-1],
        sum=total,
        explicit_bounds=bounds[:-1],
        bucket_counts=[high - low for low, high in zip([0, *upto], upto, strict=False)],
    )


def _attributes(said: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in said.items()]
