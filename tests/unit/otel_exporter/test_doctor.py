"""The doctor: real exports of every shape, stored and examined; each finding with its mend, and none without reason."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_exporter.asking import asking
from otel_exporter.config import Flag, load
from otel_exporter.doctor import Examination, examine
from otel_exporter.doctor.advice import RULES, Finding
from otel_exporter.doctor.shapes import SHAPES
from otel_exporter.imports.spend_records import spend_request
from otel_exporter.ingest import ingest_files
from otel_exporter.litellm_api.directory import Directory
from tests.corpus.cases import DATA
from tests.litellm_books import spend_log
from tests.unit.otel_exporter import test_doctor_completeness
from tests.unit.otel_exporter.conftest import Tokentide

CLIENTS = Path(__file__).parents[3] / "docs" / "clients"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Request = ExportTraceServiceRequest | ExportLogsServiceRequest
Change = Callable[[Any], None]


def spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Every span of a request."""
    return (span for block in request.resource_spans for scope in block.scope_spans for span in scope.spans)


def says(span: Span, name: str, value: str) -> None:
    """Let a span say something else."""
    forget(span, name)
    span.attributes.add(key=name).value.string_value = value


def forget(span: Span, *names: str) -> None:
    """Take attributes from a span."""
    kept = [attribute for attribute in span.attributes if attribute.key not in names]
    del span.attributes[:]
    span.attributes.extend(kept)


def twice(request: ExportTraceServiceRequest) -> None:
    """The callback is registered twice: the same call again, as spans of their own."""
    for block in request.resource_spans:
        for scope in block.scope_spans:
            for span in list(scope.spans):
                again = scope.spans.add()
                again.CopyFrom(span)
                again.span_id = bytes(reversed(span.span_id))
                again.parent_span_id = bytes(reversed(span.parent_span_id))


def unpriced(request: ExportTraceServiceRequest) -> None:
    """A model nobody has heard of, and no cost."""
    for span in spans(request):
        forget(span, *(a.key for a in span.attributes if ".cost." in a.key or a.key == "hidden_params"))
        for name in ("gen_ai.request.model", "gen_ai.response.model", "litellm.provider.model", "llm.openai.model"):
            says(span, name, "mystery-9")


def cut(request: ExportTraceServiceRequest) -> None:
    """An attribute length limit was at work."""
    for span in spans(request):
        for attribute in span.attributes:
            attribute.value.string_value = attribute.value.string_value[:64]


def dearer(request: ExportTraceServiceRequest) -> None:
    """The gateway's price is not ours."""
    for span in spans(request):
        if any(attribute.key == "gen_ai.cost.total_cost" for attribute in span.attributes):
            forget(span, "gen_ai.cost.total_cost")
            span.attributes.add(key="gen_ai.cost.total_cost").value.double_value = 0.5


def ahead(request: ExportTraceServiceRequest) -> None:
    """A clock that is a day ahead."""
    for span in spans(request):
        lasted = span.end_time_unix_nano - span.start_time_unix_nano
        span.start_time_unix_nano = int((datetime.now(UTC) + timedelta(days=1)).timestamp()) * 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + lasted


def forced(request: ExportTraceServiceRequest) -> None:
    """Nobody named the environment."""
    for block in request.resource_spans:
        kept = [a for a in block.resource.attributes if a.key != "deployment.environment.name"]
        del block.resource.attributes[:]
        block.resource.attributes.extend(kept)


def borrowed(request: ExportTraceServiceRequest) -> None:
    """LiteLLM wrote on a span of the application."""
    for block in request.resource_spans:
        for scope in block.scope_spans:
            scope.scope.name = "shop"


def apart(request: ExportTraceServiceRequest) -> None:
    """The client's trace did not reach the gateway, and its instrumentation sends no response id."""
    for span in of_the_client(request):
        forget(span, "gen_ai.response.id")
        span.trace_id = bytes(reversed(span.trace_id))


def aliased(request: ExportTraceServiceRequest) -> None:
    """As `apart`; and the client knows the model by the gateway's name for it."""
    apart(request)
    client = list(of_the_client(request))
    for span in spans(request):
        if span in client:
            says(span, "gen_ai.request.model", "house-blend")
            says(span, "gen_ai.response.model", "house-blend")
        elif any(attribute.key == "litellm.model_group" for attribute in span.attributes):
            says(span, "litellm.model_group", "house-blend")


def of_the_client(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """The spans of the instrumentation in front of a gateway."""
    for block in request.resource_spans:
        for scope in block.scope_spans:
            if scope.scope.name == "opentelemetry.util.genai.handler":
                yield from scope.spans


def reused(request: ExportTraceServiceRequest) -> None:
    """An hour later, another answer with the same id."""
    for block in request.resource_spans:
        for scope in block.scope_spans:
            for span in list(scope.spans):
                again = scope.spans.add()
                again.CopyFrom(span)
                again.trace_id = bytes(reversed(span.trace_id))
                again.start_time_unix_nano += 3600 * 10**9
                again.end_time_unix_nano += 3600 * 10**9


def strange(request: ExportTraceServiceRequest) -> None:
    """A producer of nobody's that sends usage."""
    for block in request.resource_spans:
        for scope in block.scope_spans:
            scope.scope.name = "home-made"
    for span in spans(request):
        forget(span, "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system")


def wordless(request: ExportTraceServiceRequest) -> None:
    """As `strange`, and it does not even name a model."""
    strange(request)
    for block in request.resource_spans:
        for scope in block.scope_spans:
            scope.scope.name = "wordless"
    for span in spans(request):
        forget(span, "gen_ai.request.model", "gen_ai.response.model")


def undercounted(request: ExportTraceServiceRequest) -> None:
    """A total that is no sum."""
    for span in spans(request):
        if any(attribute.key == "gen_ai.usage.total_tokens" for attribute in span.attributes):
            says(span, "gen_ai.usage.total_tokens", "36")


def beside(request: ExportTraceServiceRequest) -> None:
    """Cached tokens are counted apart by a producer that includes them otherwise."""
    for span in spans(request):
        if any(attribute.key == "gen_ai.usage.input_tokens" for attribute in span.attributes):
            says(span, "gen_ai.usage.cache_read.input_tokens", "1500")


def gapped(request: ExportLogsServiceRequest) -> None:
    """Two records of calls were lost, one of them the last."""
    for block in request.resource_logs:
        for scope in block.scope_logs:
            kept = [record for record in scope.log_records if sequence(record) not in (3, 7)]
            del scope.log_records[:]
            scope.log_records.extend(kept)


def sequence(record: LogRecord) -> int:
    """The number of a record of Tokentide's callback."""
    numbers = (a.value.int_value for a in record.attributes if a.key == "litellm.callback.sequence")
    return next(numbers, 0)


#: name of the service -> file in the corpus, what is changed in it
EXPORTS: dict[str, tuple[str, Change | None]] = {
    "proxy-v1": ("litellm-proxy/user_meta__teamkey.traces", None),
    "proxy-semconv": ("litellm-proxy-semconv/user_meta.traces", None),
    "proxy-v2": ("litellm-proxy-v2/user_meta__teamkey.traces", None),
    "proxy-customauth": ("litellm-proxy-customauth/user_meta__teamkey.traces", None),
    "proxy-baggage": ("litellm-proxy-baggage/user_meta__teamkey.traces", None),
    "proxy-v2-baggage": ("litellm-proxy-v2-baggage/user_meta__teamkey.traces", None),
    "proxy-v2-fail": ("litellm-proxy-v2/fail.traces", None),
    "sdk-v1": ("litellm/success.traces", None),
    "sdk-v1-in-span": ("litellm/parent_span.traces", None),
    "sdk-semconv": ("litellm/semconv_latest.traces", None),
    "sdk-v2": ("litellm/v2_async.traces", None),
    "sdk-content-off": ("litellm/capture_none.traces", None),
    "sdk-stream": ("litellm/stream_nousage.traces", None),
    "sdk-twice": ("litellm/tools.traces", twice),
    "sdk-unpriced": ("litellm/metadata.traces", unpriced),
    "sdk-cut": ("litellm/cached_tokens.traces", cut),
    "sdk-dearer": ("litellm/multi_n.traces", dearer),
    "sdk-forced": ("litellm/httpjson.traces", forced),
    "sdk-borrowed": ("litellm/capture_event.traces", borrowed),
    "sdk-reused": ("litellm/retry.traces", reused),
    "apart": ("litellm-proxy/trace_otel_v2.traces", apart),
    "aliased": ("litellm-proxy/trace_otel_v2.traces", aliased),
    "strange": ("genai-openai/success.traces", strange),
    "wordless": ("genai-openai/embedding.traces", wordless),
    "sdk-undercounted": ("litellm/semconv_latest.traces", undercounted),
    "beside": ("genai-openai/stream.traces", beside),
    "sdk-ahead": ("litellm/grpc.traces", ahead),
    "openlit": ("openlit-litellm/success.traces", None),
    "openlit-responses": ("openlit-litellm/responses.traces", None),
    "openai-v2": ("otel-openai-v2/success.traces", None),
    "genai-openai": ("genai-openai/success.traces", None),
    "genai-anthropic": ("genai-anthropic/success.traces", None),
    "openinference": ("openinference-openai/success.traces", None),
    "openinference-litellm": ("openinference-litellm/success.traces", None),
    "traceloop": ("traceloop-openai/success.traces", None),
    "vercel": ("vercel-ai-6/generate.traces", None),
    "claude-spans": ("coding-agents/claude-code.traces", None),
    "codex": ("coding-agents/codex-cli.logs", None),
    "callback": ("litellm-callback/plain_alone.logs", None),
    "callback-gapped": ("litellm-callback/router_alone.logs", gapped),
    "copilot": ("coding-agents/copilot-chat.logs", None),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with every export, each under a service name of its own; nobody has it open."""
    directory = tmp_path_factory.mktemp("doctor")
    files = [rewritten(directory / service, *export) for service, export in EXPORTS.items()]
    files += [metric(directory, agent) for agent in ("claude_code", "codex", "gemini_cli")]
    files.append(books(directory, directory / "proxy-v1.traces.pb"))
    ingest_files(settings(directory / "data"), files, lambda _bytes: None)
    return directory / "data"


@pytest.fixture(scope="module")
def found(stored: Path) -> Examination:
    """What the doctor finds in all of it."""
    with asking(settings(stored)) as ask:
        return examine(ask, LONG_AGO)


def settings(data_dir: Path) -> Any:
    """As the command line would make them."""
    return load(None, {}, [Flag("--data-dir", "store.data_dir", data_dir)]).settings


def rewritten(target: Path, source: str, change: Change | None) -> Path:
    """A file of the corpus, changed, under the service name ``target.name``."""
    is_traces = source.endswith("traces")
    request: Request = ExportTraceServiceRequest() if is_traces else ExportLogsServiceRequest()
    request.ParseFromString((DATA / f"{source}.pb").read_bytes())
    if change is not None:
        change(request)
    if isinstance(request, ExportTraceServiceRequest):
        of_its_own(request, zlib.crc32(target.name.encode()))
    for block in request.resource_spans if is_traces else request.resource_logs:
        for attribute in block.resource.attributes:
            if attribute.key == "service.name":
                attribute.value.string_value = target.name
    file = target.with_name(f"{target.name}.{source.rpartition('.')[2]}.pb")
    file.write_bytes(request.SerializeToString())
    return file


def of_its_own(request: ExportTraceServiceRequest, number: int) -> None:
    """Other traces and answers than those of the same file under another service."""
    for span in spans(request):
        span.trace_id = number.to_bytes(4, "big") + span.trace_id[4:]
        for attribute in span.attributes:
            if attribute.key in ("gen_ai.response.id", "llm.openai.id", "litellm.call_id"):
                attribute.value.string_value += f"{number:08x}"


def metric(directory: Path, agent: str) -> Path:
    """One point of a coding agent, under the service name ``<agent>-metrics``."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    block.resource.attributes.add(key="service.name").value.string_value = f"{agent}-metrics"
    usage = block.scope_metrics.add().metrics.add(name=f"{agent}.token.usage")
    usage.sum.data_points.add(time_unix_nano=int(datetime.now(UTC).timestamp() * 1e9), as_int=7)
    file = directory / f"{agent}.metrics.pb"
    file.write_bytes(request.SerializeToString())
    return file


def books(directory: Path, beside: Path) -> Path:
    """Two rows of a proxy's spend logs: of the hour of its spans, and of a day before there were any."""
    request = ExportTraceServiceRequest.FromString(beside.read_bytes())
    at = datetime.fromtimestamp(next(spans(request)).start_time_unix_nano / 1e9, UTC)
    rows = [spend_log(1, at, spend=2.775e-05), spend_log(2, at - timedelta(days=30), spend=2.85e-05)]
    file = directory / "books.logs.pb"
    file.write_bytes(spend_request(rows, Directory()))
    return file


def findings(found: Examination, subject: str) -> dict[str, Finding]:
    """What is found about one subject."""
    return {finding.rule: finding for finding in found.findings if finding.subject == subject}


@pytest.mark.parametrize(
    ("service", "shape", "side", "version", "calls"),
    [
        ("proxy-v1", "litellm.v1", "proxy", "", 1),
        ("proxy-semconv", "litellm.semconv", "proxy", "", 1),
        ("proxy-v2", "litellm.v2", "proxy", "1.106.2", 1),
        ("proxy-customauth", "litellm.raw", "proxy", "", 1),
        ("sdk-v1", "litellm.v1", "sdk", "", 1),
        ("sdk-semconv", "litellm.semconv", "sdk", "", 3),
        ("sdk-v2", "litellm.v2", "sdk", "1.106.2", 8),
        ("openlit", "openlit", "", "", None),
        ("openai-v2", "otel.genai", "", "1.0b0", None),
        ("genai-openai", "otel.genai", "", "1.3b0", None),
        ("openinference", "openinference", "", "0.1.66", None),
        ("traceloop", "traceloop", "", "0.62.4", None),
        ("vercel", "vercel", "", "", None),
        ("codex", "codex", "", "0.163.0", None),
        ("callback", "litellm.callback", "", "1.0.0", 8),
        ("copilot", "copilot_chat", "", "0.40.0", None),
    ],
)
def test_shapes_are_named(
    found: Examination, service: str, shape: str, side: str, version: str, calls: int | None
) -> None:
    """Every producer is named as what it is, with its version where it says it, and its calls are counted."""
    seen = [emitter for emitter in found.emitters if emitter.service == service]
    assert {(emitter.shape, emitter.side, emitter.version) for emitter in seen} == {(shape, side, version)}
    assert calls is None or sum(emitter.calls for emitter in seen) == calls


@pytest.mark.parametrize(
    ("subject", "rule", "count", "mend"),
    [
        ("sdk-v1-in-span", "litellm.calls_overwritten", 1, "USE_OTEL_LITELLM_REQUEST_SPAN=true"),
        ("proxy-customauth", "litellm.request_span_lost", 1, "USE_OTEL_LITELLM_REQUEST_SPAN=true"),
        ("proxy-v1", "litellm.metadata_unread", 1, "LITELLM_OTEL_BAGGAGE_METADATA_KEYS=requester_metadata.feature"),
        ("proxy-v2", "litellm.v2_no_metadata", 1, "LITELLM_OTEL_BAGGAGE_METADATA_KEYS=user_api_key_org_id,"),
        ("proxy-v2-fail", "litellm.attempts_hidden", 1, "tokentide_callback.handler"),
        ("sdk-v2", "litellm.v2_silent_when_sync", 8, "unset LITELLM_OTEL_V2"),
        ("sdk-content-off", "litellm.content_off_drops_more", 1, "CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"),
        ("sdk-stream", "calls.tokens_unknown", 1, 'stream_options={"include_usage": True}'),
        ("sdk-stream", "litellm.no_time_to_first_token", 1, "LITELLM_OTEL_INTEGRATION_ENABLE_METRICS=true"),
        ("sdk-twice", "calls.reported_twice", 2, 'name "otel" once'),
        ("mystery-9", "calls.unpriced", 1, 'prices: {overrides: [{models: "mystery-9"'),
        ("sdk-cut", "litellm.values_cut", 1, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        ("sdk-forced", "litellm.environment_forced", 1, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name="),
        ("sdk-ahead", "spans.from_the_future", 2, "NTP"),
        ("gpt-4o-mini", "calls.cost_contradicted", 1, "charge: local"),
        ("sdk-borrowed", "litellm.borrowed_span", 1, "USE_OTEL_LITELLM_REQUEST_SPAN=true"),
        ("openai", "calls.response_id_reused", 2, "unique response ids"),
        ("apart", "calls.client_not_joined", 1, "traceparent"),
        ("aliased", "calls.alias", 1, "traceparent"),
        ("openlit", "openlit.cost_zero", 1, "pricing_json="),
        ("openlit-responses", "openlit.http_only", 1, "LiteLLM's own callback"),
        ("openai-v2", "openai_v2.gaps", 1, "opentelemetry-instrumentation-genai-openai"),
        ("genai-anthropic", "anthropic.own_spans_too", 1, "ANTHROPIC_OPEN_TELEMETRY=false"),
        ("openinference-litellm", "openinference.no_response_id", 1, "traceparent"),
        ("strange", "calls.generic", 1, "a dialect of your own"),
        ("wordless", "usage_unread", 1, "gen_ai.operation.name"),
        ("sdk-undercounted", "calls.tokens_disagree", 2, "the issue stays on the row"),
        ("beside", "calls.cache_convention", 1, "the issue stays on the row"),
        ("vercel", "calls.no_team", 1, "OTEL_RESOURCE_ATTRIBUTES=team="),
        ("the gateway", "calls.no_key", 5, "POST /key/generate"),
        ("sdk-v1", "calls.no_tags", 1, "OTEL_RESOURCE_ATTRIBUTES="),
        ("sdk-v1", "calls.no_session", 1, "the producer's page"),
        ("sdk-v1", "litellm.no_metrics", 1, "LITELLM_OTEL_INTEGRATION_ENABLE_METRICS=true"),
        ("sdk-v1", "litellm.python_repr", 1, "genai_calls"),
        ("key-1", "litellm.only_in_the_books", 1, "OTEL_BSP_SCHEDULE_DELAY"),
    ],
)
def test_what_is_lost_is_found_with_its_mend(
    found: Examination, subject: str, rule: str, count: int, mend: str
) -> None:
    """A loss that the data show is found as often as it happened, with an example and the change that mends it."""
    finding = findings(found, subject)[rule]
    assert mend in finding.mend
    assert finding.count == count
    assert re.fullmatch(r"[0-9a-f]{32}", finding.example)


@pytest.mark.parametrize(
    ("subject", "rule", "lost"),
    [("callback", "litellm.callback_records_lost", 0), ("callback-gapped", "litellm.callback_records_lost", 2)],
)
def test_numbers_tell_what_is_missing(found: Examination, subject: str, rule: str, lost: int) -> None:
    """Records of the callback that did not arrive are counted, the last ones too; where all came, nothing is said."""
    finding = findings(found, subject).get(rule)
    assert (finding.count if finding else 0) == lost
    assert finding is None or (finding.of == 7 and "OTEL_BLRP_MAX_QUEUE_SIZE" in finding.mend)


@pytest.mark.parametrize(
    ("subject", "rules"),
    [
        ("proxy-v1", ["litellm.calls_overwritten", "litellm.request_span_lost", "litellm.borrowed_span"]),
        ("proxy-v1", ["litellm.environment_forced", "litellm.values_cut", "litellm.attempts_hidden"]),
        ("proxy-baggage", ["litellm.metadata_unread"]),
        ("proxy-v2-baggage", ["litellm.v2_no_metadata"]),
        ("proxy-v2", ["litellm.v2_silent_when_sync", "litellm.attempts_hidden"]),
        ("sdk-v1", ["litellm.content_off_drops_more", "calls.tokens_unknown", "calls.reported_twice"]),
        ("sdk-v1", ["litellm.no_time_to_first_token", "spans.from_the_future"]),
        ("sdk-semconv", ["litellm.python_repr"]),
        ("genai-openai", ["openai_v2.gaps", "anthropic.own_spans_too"]),
        ("openlit", ["openlit.http_only"]),
        ("openinference", ["openinference.no_response_id"]),
        ("codex", ["codex.no_events"]),
        ("claude-spans", ["claude_code.no_events"]),
        ("key-2", ["litellm.only_in_the_books"]),
    ],
)
def test_what_is_not_lost_is_not_found(found: Examination, subject: str, rules: list[str]) -> None:
    """No finding without evidence, and none any more where the prescribed setting was set."""
    assert not set(rules) & set(findings(found, subject))


@pytest.mark.parametrize(
    ("rule", "mend"),
    [
        ("claude_code.no_events", "OTEL_LOGS_EXPORTER=otlp"),
        ("codex.no_events", "/v1/logs"),
        ("gemini_cli.no_events", '"telemetry"'),
    ],
)
def test_metrics_alone_are_no_calls(found: Examination, rule: str, mend: str) -> None:
    """A coding agent of which only metrics arrive is told how to send the events."""
    agent = rule.removesuffix(".no_events")
    finding = findings(found, f"{agent}-metrics")[rule]
    assert (finding.count, finding.example) == (1, "") and mend in finding.mend
    assert [emitter.shape for emitter in found.emitters if emitter.service == f"{agent}-metrics"] == [agent]


def test_a_team_that_arrives_is_not_missing(found: Examination) -> None:
    """Only services whose calls carry no team are told to name one."""
    missing = {finding.subject for finding in found.findings if finding.rule == "calls.no_team"}
    assert "sdk-v1" not in missing


def test_since_bounds_what_is_examined(stored: Path) -> None:
    """What came before ``since`` is neither counted nor judged."""
    with asking(settings(stored)) as ask:
        later = examine(ask, datetime.now(UTC) + timedelta(days=30))
    assert (later.spans, later.records, later.calls) == (0, 0, 0)
    assert not later.emitters and not later.findings
    assert later.last_span


def test_every_rule_is_tried() -> None:
    """No rule goes without a test in which it fires."""
    tests = (
        test_what_is_lost_is_found_with_its_mend,
        test_numbers_tell_what_is_missing,
        test_metrics_alone_are_no_calls,
        test_doctor_completeness.test_what_should_have_arrived_is_found,
    )
    cases = [case for test in tests for mark in test.pytestmark for case in mark.args[1]]
    assert {rule.name for rule in RULES} <= {word for case in cases for word in case}


def test_every_page_exists() -> None:
    """Whatever a finding or a producer points to is there, heading and all, and every page is in the index."""
    named = [rule.page for rule in RULES] + [shape.page for shape in SHAPES]
    pages = {page.format(side=side) for page in named for side in ("proxy", "sdk")}
    for page in pages:
        name, _, heading = page.partition("#")
        text = (CLIENTS / name).read_text()
        assert not heading or f"\n## {heading.capitalize()}\n" in text, page
    index = (CLIENTS / "README.md").read_text()
    assert all(f"({page.name})" in index for page in CLIENTS.glob("*.md") if page.name != "README.md")


def test_the_command_prints_it(tokentide: Tokentide, stored: Path) -> None:
    """The table names producers, losses and mends; JSON is one array with sections; nothing is sent without a serve."""
    for_people = tokentide("doctor", "--since", "2020-01-01", "--data-dir", stored)
    assert for_people.code == 0
    assert for_people.out.startswith("Path: no serve is running")
    for words in ("LiteLLM v2 on a proxy", "proxy-customauth", "USE_OTEL_LITELLM_REQUEST_SPAN=true"):
        assert words in for_people.out
    for_programs = tokentide("doctor", "--since", "2020-01-01", "--data-dir", stored, "--format", "json")
    sections = [record["section"] for record in json.loads(for_programs.out)]
    assert sections[:2] == ["probe", "total"] and set(sections[2:]) == {"emitter", "finding"}


def test_no_data_is_said(tokentide: Tokentide, stored: Path) -> None:
    """When nothing arrived lately, the doctor says when something last did; without data it fails with a sentence."""
    nothing = tokentide("doctor", "--since", "2200-01-01", "--data-dir", stored)
    assert nothing.code == 0 and "No producer of LLM telemetry" in nothing.out
    assert tokentide("doctor", "--data-dir", "nowhere").code == 1
