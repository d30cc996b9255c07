"""The doctor on what did not arrive: planted gaps are found as large as they are, and nothing where all came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_schema.store import Store
from otel_exporter.asking import asking
from otel_exporter.config import Flag, load
from otel_exporter.doctor import Examination, examine
from otel_exporter.doctor.advice import Finding
from otel_exporter.ingest import ingest_files

NOW = datetime.now(UTC)
#: Applications and keys that were used every hour of some days, until so many hours ago.
_HABITS = """INSERT INTO otel.genai_ledger
    (call_key, started_at, ended_at, application, api_key_alias, tenant, status, version, sign)
SELECT concat(habit.1, toString(number)) AS key,
    toDateTime64({now:DateTime('UTC')}, 9, 'UTC') - toIntervalHour(number + habit.2) AS at,
    at, habit.1, concat('key of ', habit.1), 'default', 'ok', sipHash64(key), 1
FROM numbers(240) ARRAY JOIN [('silent', 20), ('present', 1)] AS habit"""


def calls(service: str, count: int, ago: timedelta, model: str = "gpt-4o", version: str = "1") -> bytes:
    """Chats of ten tokens in and five out."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    for name, value in (("service.name", service), ("service.version", version)):
        block.resource.attributes.add(key=name).value.string_value = value
    scope = block.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.openai_v2"
    for number in range(count):
        start = int((NOW - ago).timestamp() * 1e9) + number * 10**9
        ids = f"{service}{version}{number}".encode().rjust(16, b"-")[-16:]
        span = scope.spans.add(trace_id=ids, span_id=ids[8:], name="chat", kind=3, start_time_unix_nano=start)
        span.end_time_unix_nano = start + 10**8
        said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model}
        for name, text in {**said, "gen_ai.response.id": f"chatcmpl-{ids.hex()}"}.items():
            span.attributes.add(key=name).value.string_value = text
        for name, tokens in (("input", 10), ("output", 5)):
            span.attributes.add(key=f"gen_ai.usage.{name}_tokens").value.int_value = tokens
    return request.SerializeToString()


def counted(service: str, count: int) -> bytes:
    """What the same service's histogram of durations says of the last hours."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    block.resource.attributes.add(key="service.name").value.string_value = service
    metric = block.scope_metrics.add().metrics.add(name="gen_ai.client.operation.duration")
    metric.histogram.aggregation_temporality = 1
    at = int((NOW - timedelta(minutes=65)).timestamp() * 1e9)
    point = metric.histogram.data_points.add(start_time_unix_nano=at - 10**9, time_unix_nano=at, count=count, sum=1.0)
    point.attributes.add(key="gen_ai.request.model").value.string_value = "gpt-4o"
    return request.SerializeToString()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Examination:
    """What the doctor finds since yesterday."""
    directory, then = tmp_path_factory.mktemp("completeness"), timedelta(minutes=66)
    exports = {
        "sampled.traces": calls("sampled", 12, then),
        "sampled.metrics": counted("sampled", 20),
        "whole.traces": calls("whole", 10, then),
        "whole.metrics": counted("whole", 10),
        "unheard.metrics": counted("unheard", 7),
        "before.traces": calls("upgraded", 5, timedelta(hours=3)),
        "after.traces": calls("upgraded", 4, then, "mystery-9", "2"),
        "same.traces": calls("same", 5, timedelta(hours=3)),
        "same-after.traces": calls("same", 5, then, version="2"),
    }
    files = [directory / f"{name}.pb" for name in exports]
    for file, body in zip(files, exports.values(), strict=True):
        file.write_bytes(body)
    settings = load(None, {}, [Flag("--data-dir", "store.data_dir", directory / "data")]).settings
    ingest_files(settings, files, lambda _bytes: None)
    with Store.embedded(directory / "data") as store:
        store.command(_HABITS, {"now": NOW.replace(tzinfo=None, microsecond=0)})
    with asking(settings) as ask:
        return examine(ask, NOW - timedelta(days=1))


def of_completeness(found: Examination) -> dict[tuple[str, str], Finding]:
    """The findings that this is about, by subject and rule."""
    ours = [finding for finding in found.findings if finding.rule.startswith("completeness.")]
    return {(finding.subject, finding.rule): finding for finding in ours}


@pytest.mark.parametrize(
    ("subject", "rule", "count", "of", "mend"),
    [
        ("sampled", "completeness.calls_missing", 8, 20, "OTEL_TRACES_SAMPLER=parentbased_always_on"),
        ("unheard", "completeness.calls_missing", 7, 7, "OTEL_TRACES_EXPORTER=otlp"),
        ("silent", "completeness.silent", 240, 0, "OTEL_EXPORTER_OTLP_ENDPOINT="),
        ("key of silent", "completeness.key_silent", 240, 0, "POST /key/block"),
        ("upgraded", "completeness.cost_lost_with_version", 4, 4, "prices: {overrides:"),
    ],
)
def test_what_should_have_arrived_is_found(
    found: Examination, subject: str, rule: str, count: int, of: int, mend: str
) -> None:
    """Each gap is found exactly as large as it is, with the change that mends it."""
    finding = of_completeness(found)[subject, rule]
    assert (finding.count, finding.of) == (count, of)
    assert mend in finding.mend


def test_nothing_else_is_found(found: Examination) -> None:
    """Where all calls arrived, who still sends, and who kept its costs through an upgrade is not accused."""
    assert {subject for subject, _ in of_completeness(found)} == {
        "sampled",
        "unheard",
        "silent",
        "key of silent",
        "upgraded",
    }


def test_an_upgrade_names_its_versions(found: Examination) -> None:
    """The loss says which version came and which one went."""
    loss = of_completeness(found)["upgraded", "completeness.cost_lost_with_version"].loss
    scope = "opentelemetry.instrumentation.openai_v2"
    assert f"2 {scope}, 1 {scope}" in loss
