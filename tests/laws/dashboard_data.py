"""A database with something for every panel: the corpus, a tenant a producer; the demo's history; what neither has.

A tenant of its own is a producer alone: every query is narrowed by tenant. What no export brings (forecasts, alerts,
cost centres, until the jobs that write them are asked) is inserted as rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from clickhouse_schema.store import Store
from otel_exporter.assembly import assembled
from otel_exporter.commit import Request
from otel_exporter.config.tree import PriceSettings, Settings, StoreSettings
from otel_exporter.demo import exports
from otel_exporter.demo.history import Call, calls
from otel_exporter.telemetry import Metric
from processors.batch import Signal
from tests.corpus.cases import DATA

#: When everything was: the corpus was captured in the hours before.
END = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
DAYS = 28
#: Who emits -> the tenants that hold what they emit, each with nothing else.
ALONE = {
    "LiteLLM v1": ["litellm-proxy"],
    "LiteLLM v1 opt-in": ["litellm-proxy-semconv"],
    "LiteLLM v2": ["litellm-proxy-v2"],
    "OpenInference": ["openinference-openai", "openinference-anthropic"],
    "OpenLIT": ["openlit-openai"],
    "OpenLLMetry": ["traceloop-openai"],
}
_COUNTERS = {
    Metric.RECEIVED: "signal",
    Metric.STORED: "table",
    Metric.REFUSED: "reason",
    Metric.RETRY_LATER: "reason",
    Metric.DEAD_LETTERS: "table",
}


@contextmanager
def filled(directory: Path) -> Iterator[Store]:
    """The database, open."""
    prices = PriceSettings(discounts=({"provider": "anthropic", "percent": 10},))
    with assembled(Settings(store=StoreSettings(data_dir=directory), prices=prices)) as parts:
        failures = parts.commit.commit(list(_requests()))
        assert not any(failures.values())
        assert parts.writer.drain(60)
    with Store.embedded(directory) as store:
        for statement in _ROWS:
            store.command(statement.replace("$end", str(int(END.timestamp()))))
        yield store


def _requests() -> Iterator[Request]:
    for producer in sorted(path for path in DATA.iterdir() if path.is_dir()):
        for signal in (Signal.TRACES, Signal.LOGS):
            for file in sorted(producer.glob(f"*.{signal.value}.pb")):
                yield Request(signal, producer.name, file.read_bytes())
    for body in _history():
        yield Request(Signal.TRACES, "DEMO", body)
    for body in _fallback():
        yield Request(Signal.TRACES, "planted", body)
    yield Request(Signal.METRICS, "planted", _own_metrics().SerializeToString())
    yield Request(Signal.METRICS, "DEMO", _counters().SerializeToString())


def _history() -> Iterator[bytes]:
    last = END.replace(minute=0) - timedelta(hours=3)
    return exports.traces([(call, None) for call in calls(last, DAYS)])


def _fallback() -> Iterator[bytes]:
    """One request to a LiteLLM proxy with a guardrail: the first model is over its rate, the second one answers."""
    first = Call(
        request=1,
        at=END - timedelta(minutes=40),
        team="search",
        user="eve",
        application="shop-search",
        reporter="gateway",
        provider="openai",
        model="gpt-4o",
        asked="gpt-4o",
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        seconds=0.4,
        failed=True,
        guarded=True,
    )
    second = replace(first, at=first.at + timedelta(seconds=1), model="gpt-4o-mini", asked="gpt-4o-mini", failed=False)
    return exports.traces([(first, None), (replace(second, input_tokens=900, output_tokens=80), None)])


def _own_metrics() -> ExportMetricsServiceRequest:
    """Tokentide's own metrics, as a Collector that scrapes `/metrics` sends them on: two points of each series."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    block.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="tokentide")))
    scope = block.scope_metrics.add()
    start = END - timedelta(hours=1)
    for minute in (50, 40):
        at = int((END - timedelta(minutes=minute)).timestamp() * 1e9)
        for metric, label in _COUNTERS.items():
            assert label in metric.declared.labels
            made = scope.metrics.add(name=metric.declared.name)
            made.sum.is_monotonic = True
            made.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            point = made.sum.data_points.add(as_double=100.0 - minute, time_unix_nano=at)
            point.start_time_unix_nano = int(start.timestamp() * 1e9)
            point.attributes.append(KeyValue(key=label, value=AnyValue(string_value="traces")))
        gauge = scope.metrics.add(name=Metric.SPOOL_BYTES.declared.name)
        gauge.gauge.data_points.add(as_double=4096.0, time_unix_nano=at)
    return request


def _counters() -> ExportMetricsServiceRequest:
    """A sender's own counter of calls: more than it sent of them."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    block.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="demo-llm-gateway")))
    made = block.scope_metrics.add().metrics.add(name="gen_ai.client.operation.duration")
    made.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    start = END - timedelta(hours=10)
    for hour in range(1, 9):
        at = start + timedelta(hours=hour)
        point = made.histogram.data_points.add(count=1000 * hour, sum=1.0, time_unix_nano=int(at.timestamp() * 1e9))
        point.start_time_unix_nano = int(start.timestamp() * 1e9)
        point.attributes.append(KeyValue(key="gen_ai.request.model", value=AnyValue(string_value="gpt-4o")))
    return request


_FORECAST = """
INSERT INTO otel.genai_forecast
SELECT concat('run-', toString(run.1)) AS run_id, toDateTime($end, 'UTC') - toIntervalDay(run.1) AS as_of, 'DEMO' AS tenant,
  metric, series.1 AS axis, series.2 AS value, freq,
  if(freq = 'day', toStartOfDay(as_of), toStartOfHour(as_of)) + if(freq = 'day', toIntervalDay(step), toIntervalHour(step)) AS bucket,
  step AS horizon, 'MSTL' AS model, if(metric = 'cost_usd', 0.05, 120) * series.3 AS yhat, yhat * 0.9, yhat * 1.1,
  yhat * 0.8, yhat * 1.2, yhat * 0.6, yhat * 1.4, 0.7, 0.1, 0.79, 0.96, 600, '' AS note, now64(3, 'UTC'), 0.3, 0.5
FROM (SELECT arrayJoin([(0, 0), (3, 0)]) AS run) AS runs
CROSS JOIN (SELECT arrayJoin([('total', '', 1.), ('team', 'search', 0.4), ('model', 'gpt-4o', 0.3)]) AS series) AS several
CROSS JOIN (SELECT arrayJoin(['cost_usd', 'calls', 'input_tokens', 'output_tokens']) AS metric) AS metrics
CROSS JOIN (SELECT arrayJoin(['day', 'hour']) AS freq, arrayJoin(range(1, 15)) AS step) AS steps
"""
_BUDGET = """
INSERT INTO otel.genai_budget
SELECT toDateTime($end, 'UTC') - toIntervalHour(hours), 'DEMO', b.1, b.2, 'month', 'UTC', toDateTime('2026-11-01', 'UTC'),
  toDateTime('2026-12-01', 'UTC'), NULL, if(b.3 = 0, NULL, toDecimal128(b.3, 12)), 'ana', b.4, toDecimal128(b.5, 12), b.5 * 0.9, 1.1, b.5 / 50,
  b.5 * 1.2, b.5 * 1.4, b.5 * 1.7, [0., 0.1, 0.5, 0.9, 1.], arrayMap(x -> x * b.5, [1.1, 1.2, 1.4, 1.7, 2.]),
  if(b.3 = 0, NULL, 0.7), if(b.3 = 0, NULL, toDateTime('2026-11-26', 'UTC')), if(b.3 = 0, NULL, toDateTime('2026-11-24', 'UTC')),
  NULL, 'run-0', now64(3, 'UTC')
FROM (
  SELECT arrayJoin([
    ('everything', map(), 2., 'config', 1.5), ('month', map(), 0., 'outlook', 1.5),
    ('search', map('team', 'search'), 1., 'config', 0.6)]) AS b, arrayJoin([1, 2]) AS hours
)
"""
_ANOMALY = """
INSERT INTO otel.genai_anomaly
SELECT 'incident-1', 'DEMO', 'cost_usd', 'team', 'search', 'seasonal', toDateTime($end, 'UTC') - toIntervalHour(20),
  toDateTime($end, 'UTC') - toIntervalHour(18), 'critical', 9.5, 4.2, 0.4, 0.1, 0.9, 6.1,
  ['model', 'user_id'], ['gpt-4o', 'eve'], [4.0, 3.0], [0.3, 0.2], [0.9, 0.7], 'planted', now64(3, 'UTC')
"""
_ALERT = """
INSERT INTO otel.alert_state
SELECT 'BudgetBurn', 'budgets', 'f1', 'DEMO', 'critical', map('team', 'search'), map('summary', 'search burns 6x'), 'firing', 6.0,
  toDateTime64($end, 3, 'UTC') - toIntervalHour(19), toDateTime64($end, 3, 'UTC') - toIntervalHour(18), NULL, NULL,
  toDateTime64($end, 3, 'UTC') - toIntervalMinute(5), now64(3, 'UTC')
"""
#: As enrichment and a price change will have posted them.
_ENTRIES = """
INSERT INTO otel.genai_ledger
SELECT * REPLACE(
  concat('enriched-', call_key) AS call_key, 'planted' AS tenant, 'cc-100' AS cost_center, 'ana' AS owner, 'checkout' AS project,
  'next-prices' AS price_version)
FROM (SELECT * FROM otel.genai_ledger WHERE tenant = 'DEMO' AND started_at > toDateTime($end, 'UTC') - toIntervalDay(2))
"""
_AGREEMENT = """
INSERT INTO otel.genai_agreement
SELECT toDateTime64($end, 9, 'UTC'), 'DEMO', 'run-1', 'litellm', c.1, c.2, toDateTime64(toStartOfDay(toDateTime($end, 'UTC')), 9, 'UTC')
  - toIntervalDay(days), usd, usd, -0.01, 0.02, -0.01, 0.01, -0.01, 0.01, -0.01, 0, 40, 40, 1, 1
FROM (SELECT arrayJoin([('total', ''), ('team', 'search'), ('team', '')]) AS c, toDecimal64(1.5, 2) AS usd, arrayJoin([1, 2, 3]) AS days)
"""
_ADVICE = """
INSERT INTO otel.genai_advice
SELECT toDateTime64($end - 7200, 3, 'UTC'), 'planted', toDateTime($end, 'UTC') - INTERVAL 30 DAY, toDateTime($end, 'UTC'),
  'model', concat('big-', toString(number)), 'small instead', 10, 5 + number, 1, 4 + number, 2, 0, 'as many tokens', ''
FROM numbers(7)
"""
_SILENT = """
INSERT INTO otel.genai_ledger (call_key, started_at, ended_at, tenant, application, api_key_alias, status, version, sign)
SELECT concat('gone-', toString(number)) AS key, toDateTime64($end, 9, 'UTC') - toIntervalHour(30 + number) AS at, at, 'planted', 'gone',
  'gone-key', 'ok', number, 1
FROM numbers(200)
"""
_ROWS = (_FORECAST, _BUDGET, _ANOMALY, _ALERT, _ENTRIES, _AGREEMENT, _ADVICE, _SILENT)
