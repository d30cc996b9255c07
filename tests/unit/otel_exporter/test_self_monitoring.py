"""The service's own metrics in its own store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_exporter.assembly import Assembly, assembled
from otel_exporter.checklist import Checklist
from otel_exporter.config.self_monitoring import SelfMonitoringSettings
from otel_exporter.config.tree import Settings, StoreSettings
from otel_exporter.pipeline import Pipeline
from otel_exporter.self_monitoring import NAME, SCOPE, SelfMonitoring
from otel_exporter.telemetry import Metric
from processors.batch import Signal

AT = datetime.now(UTC) - timedelta(hours=1)


@dataclass(frozen=True)
class House:
    """A pipeline over a real store, with the metrics of this process."""

    parts: Assembly
    pipeline: Pipeline
    own: SelfMonitoring

    def tell(self, at: datetime) -> None:
        """One run of the job, and everything stored."""
        (job,) = self.own.jobs(self.pipeline)
        assert job.name == NAME
        job.run(at, threading.Event())
        assert self.parts.writer.drain(60)

    def points(self, table: str) -> pl.DataFrame:
        """What is stored."""
        return self.parts.store.arrow(
            f"SELECT MetricName AS name, TimeUnix AS at, ServiceName AS service, ScopeName AS scope FROM otel.{table}"
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A running one."""
    own = SelfMonitoring(SelfMonitoringSettings())
    with assembled(Settings(store=StoreSettings(data_dir=tmp_path / "data")), own) as parts:
        pipeline = Pipeline(parts.commit, parts.spool)
        pipeline.start()
        yield House(parts, pipeline, own)
        pipeline.stop()


def test_every_metric_is_stored_and_nothing_is_counted_as_traffic(house: House) -> None:
    """One run: each counter has a point though it may be 0, nothing counts as received, nothing becomes a call."""
    before = [sample.value for sample in Metric.RECEIVED.samples()]
    house.tell(AT)
    assert [sample.value for sample in Metric.RECEIVED.samples()] == before
    stored = {kind: house.points(f"otel_metrics_{kind}") for kind in ("sum", "gauge", "histogram")}
    counters = {metric.declared.name for metric in Metric if metric.declared.kind == "counter"}
    histograms = {metric.declared.name for metric in Metric if metric.declared.kind == "histogram"}
    assert {*stored["sum"]["name"]} == counters
    assert {*stored["histogram"]["name"]} == histograms
    assert "tokentide_spool_bytes" in {*stored["gauge"]["name"]}
    for points in stored.values():
        assert {*points["service"]} == {"tokentide"} and {*points["scope"]} == {SCOPE}
    assert house.parts.store.arrow("SELECT 1 FROM otel.genai_ledger").is_empty()


def test_every_run_is_a_point_in_time(house: House) -> None:
    """The same values a minute later are new points, not a resend."""
    for minute in range(3):
        house.tell(AT + timedelta(minutes=minute))
    assert house.points("otel_metrics_sum")["at"].n_unique() == 3


def test_nothing_is_stored_twice_when_a_collector_brings_it(house: House) -> None:
    """While the same metrics arrive through the receivers this process writes none; when that ends it goes on."""
    scraped = ExportMetricsServiceRequest.FromString(house.own.export(AT))
    scraped.resource_metrics[0].scope_metrics[0].scope.name = "prometheusreceiver"
    asyncio.run(house.pipeline.accept(Signal.METRICS, "default", scraped.SerializeToString()))
    now = datetime.now(UTC)
    house.tell(now)
    assert {*house.points("otel_metrics_sum")["scope"]} == {"prometheusreceiver"}
    house.tell(now + timedelta(minutes=6))
    assert SCOPE in {*house.points("otel_metrics_sum")["scope"]}


def test_it_can_be_switched_off(house: House) -> None:
    """Then there is no such job."""
    assert SelfMonitoring(SelfMonitoringSettings(enabled=False)).jobs(house.pipeline) == []


def test_metrics_are_no_news_for_a_newcomer(capsys: pytest.CaptureFixture[str]) -> None:
    """The checklist does not speak of spans when only metrics came."""
    Checklist().committed("", {"otel_metrics_sum": pl.DataFrame({"a": [1]})})
    assert capsys.readouterr().err == ""


def test_a_histogram_says_what_prometheus_says() -> None:
    """Counts of buckets add up to the count, and there is one more of them than bounds."""
    Metric.COMMIT_SECONDS.observe(0.3)
    told = ExportMetricsServiceRequest.FromString(SelfMonitoring(SelfMonitoringSettings()).export(AT))
    metrics = {metric.name: metric for metric in told.resource_metrics[0].scope_metrics[0].metrics}
    (point,) = metrics["tokentide_commit_seconds"].histogram.data_points
    assert point.count == sum(point.bucket_counts) > 0
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    place = point.explicit_bounds[:].index(0.5)
    assert point.bucket_counts[place] >= 1  # (0.25, 0.5]
