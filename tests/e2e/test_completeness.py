"""Programs with the real OpenTelemetry SDK: what a sampler withholds is exactly what is missing."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind

from tests.e2e.house import House, Row, serving, tokentide

pytestmark = pytest.mark.e2e
_FOUND = """SELECT measure,
    toInt64(sum(expected)) AS expected, toInt64(sum(seen)) AS seen, toInt64(sum(missing)) AS missing
FROM genai_completeness(since = toDateTime(now() - 86400), until = toDateTime(now() + 60)) WHERE source = '{}'
GROUP BY measure ORDER BY measure"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A serve."""
    with serving(tmp_path_factory.mktemp("completeness") / "data") as house:
        yield house


Kind = AggregationTemporality
RATIO = 0.6


@dataclass
class Tally:
    """What was done, and what of it the sampler let through."""

    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("calls", "input_tokens", "output_tokens"), 0))
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("calls", "input_tokens", "output_tokens"), 0))

    def add(self, *, sampled: bool, **amounts: int) -> None:
        """One call."""
        for name, amount in amounts.items():
            self.done[name] += amount
            self.sent[name] += amount if sampled else 0


class Program:
    """One life of an instrumented program; a restart is another one of the same name."""

    def __init__(self, house: House, name: str, sampler: Sampler, temporality: Kind, *, exponential: bool) -> None:
        resource = Resource.create({"service.name": name})
        self._spans = TracerProvider(resource=resource, sampler=sampler)
        self._spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{house.url}/v1/traces")))
        exporter = OTLPMetricExporter(f"{house.url}/v1/metrics", preferred_temporality={Histogram: temporality})
        views = [View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation())]
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        self._metrics = MeterProvider([reader], resource=resource, views=views if exponential else [])
        meter = self._metrics.get_meter("opentelemetry.util.genai.handler")
        self._duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")

    def call(self, tally: Tally, dice: random.Random) -> None:
        """One chat, as an instrumentor describes it."""
        used = {"input_tokens": dice.randint(1, 4000), "output_tokens": dice.randint(1, 900)}
        said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
        tracer = self._spans.get_tracer("opentelemetry.util.genai.handler")
        with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=said) as span:
            span.set_attribute("gen_ai.response.id", f"chatcmpl-{secrets.token_hex(12)}")
            for name, amount in used.items():
                span.set_attribute(f"gen_ai.usage.{name}", amount)
                self._tokens.record(amount, {**said, "gen_ai.token.type": name.removesuffix("_tokens")})
            self._duration.record(0.1, said)
            tally.add(sampled=span.get_span_context().trace_flags.sampled, calls=1, **used)

    def export(self) -> None:
        """What an interval of a minute would do."""
        assert self._metrics.force_flush() and self._spans.force_flush()

    def end(self) -> None:
        """As a program that ends in order."""
        self._metrics.shutdown()
        self._spans.shutdown()


@pytest.mark.parametrize(
    ("name", "sampler", "temporality", "exponential"),
    [
        ("whole", lambda: ALWAYS_ON, Kind.CUMULATIVE, False),
        ("sampled", lambda: TraceIdRatioBased(RATIO), Kind.CUMULATIVE, False),
        ("sampled-delta", lambda: TraceIdRatioBased(RATIO), Kind.DELTA, False),
        ("sampled-exponential", lambda: TraceIdRatioBased(RATIO), Kind.CUMULATIVE, True),
    ],
)
def test_what_is_withheld_is_missing(
    house: House, name: str, sampler: Callable[[], Sampler], temporality: Kind, exponential: bool
) -> None:
    """Over two lives of a program and several exports: expected is all that was done, missing what was not sampled."""
    tally = lived(house, name, sampler, temporality, exponential=exponential)
    found = {row["measure"]: row for row in compared(house, name, tally)}
    assert {measure: row["expected"] for measure, row in found.items()} == tally.done
    assert {measure: row["seen"] for measure, row in found.items()} == tally.sent
    assert {measure: row["missing"] for measure, row in found.items()} == {
        measure: done - tally.sent[measure] for measure, done in tally.done.items()
    }
    assert (tally.done == tally.sent) == (name == "whole")


def lived(
    house: House, name: str, sampler: Callable[[], Sampler], temporality: Kind, *, exponential: bool = False
) -> Tally:
    """A program that ran twice, with three exports each time."""
    tally, dice = Tally(), random.Random(name)
    for _ in range(2):
        program = Program(house, name, sampler(), temporality, exponential=exponential)
        for _ in range(3):
            for _ in range(12):
                program.call(tally, dice)
            program.export()
        program.end()
    return tally


def compared(house: House, name: str, tally: Tally) -> list[Row]:
    """The comparison, once all that was sent is stored."""

    def is_stored(rows: list[Row]) -> bool:
        expected = {row["measure"]: row["expected"] for row in rows}
        return all(expected.get(measure) == done for measure, done in tally.done.items())

    calls = f"SELECT count() AS n FROM genai_calls WHERE application = '{name}'"
    house.wait_for(calls, lambda rows: rows[0]["n"] == tally.sent["calls"])
    return house.wait_for(_FOUND.format(name), is_stored)


def test_the_doctor_counts_what_is_missing(house: House, tmp_path: Path) -> None:
    """`tokentide doctor` accuses who is sampled, with the line that ends it, and not who sends everything."""
    tallies = {
        "accused": lived(house, "accused", lambda: TraceIdRatioBased(RATIO), Kind.CUMULATIVE),
        "innocent": lived(house, "innocent", lambda: ALWAYS_ON, Kind.CUMULATIVE),
    }
    for name, tally in tallies.items():
        compared(house, name, tally)
    ran = tokentide("doctor", "--since", "12h", "--format", "json", "--data-dir", house.data_dir, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    rules = [each for each in json.loads(ran.stdout) if each.get("rule") == "completeness.calls_missing"]
    found = {each["subject"]: each for each in rules}
    tally = tallies["accused"]
    assert found["accused"]["count"] == tally.done["calls"] - tally.sent["calls"] > 0
    assert found["accused"]["of"] == tally.done["calls"]
    assert "OTEL_TRACES_SAMPLER=parentbased_always_on" in found["accused"]["mend"]
    assert "innocent" not in found
