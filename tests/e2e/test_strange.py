"""Valid OTLP that makes no sense: whatever it says, it is stored, and those who come after it are, too."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from tests.e2e.everything import NOW
from tests.e2e.house import House, serving, tokentide
from tests.wire.otlp_strategies import any_values, doubles, i64, u64

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
NAMES = (
    "gen_ai.operation.name", "gen_ai.system", "gen_ai.provider.name", "gen_ai.request.model",
    "gen_ai.response.model", "gen_ai.response.id", "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens",
    "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cost", "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.reasoning_tokens",
    "gen_ai.cost.total_cost", "gen_ai.cost.input_cost", "gen_ai.cost.discount_amount",
    "gen_ai.cost.margin_total_amount", "gen_ai.response.time_to_first_chunk", "gen_ai.is_streaming",
    "gen_ai.request.stream", "gen_ai.request.user", "gen_ai.conversation.id", "llm.request.type",
    "llm.is_streaming", "llm.user", "llm.model_name", "llm.system", "llm.token_count.prompt",
    "llm.token_count.completion", "llm.cost.total", "openinference.span.kind", "hidden_params",
    "litellm.call_id", "litellm.provider.model", "litellm.model_group", "litellm.cost.total",
    "litellm.cache_hit", "litellm.saved_cache_cost", "litellm.call_type", "metadata.usage_object",
    "metadata.requester_metadata", "metadata.user_api_key_hash", "metadata.user_api_key_team_id",
    "metadata.user_api_key_spend", "metadata.user_api_key_max_budget", "metadata.applied_guardrails",
    "metadata.user_api_key_budget_reset_at", "metadata.user_api_key_end_user_id", "metadata.user_agent",
    "error.type", "error.code", "error.message", "http.response.status_code", "session.id", "user.id",
    "service.name", "deployment.environment.name", "team", "ai.operationId", "ai.usage.promptTokens",
    "ai.response.id", "traceloop.span.kind", "exception.type", "exception.message", "tags",
)  # fmt: skip
WILD = (
    "", "null", "nan", "NaN", "-inf", "1e400", "-1", "0", "-0.0", "1e-400", "9" * 45, "0x10", "1_000", "٣", "{", "[[",
    "[" * 200, "{}", "[]", "[null]", '{"a": NaN}', "{'a': 1}", "{'completion_tokens': -1, 'prompt_tokens': 1e30}",
    "{'prompt_tokens': 'many', 'prompt_tokens_details': [1]}", '{"cache_key": "k", "response_cost": "1e400"}',
    '{"response_cost": -5, "additional_headers": {"x-ratelimit-remaining-tokens": "1e99"}}', "resp_" + "A" * 60,
    '{"additional_headers": []}', '{"model_id": {"a": [1]}, "cache_key": false}', "True", "chatcmpl-x", "\0", "\x1f",
    "2026-13-45T99:99:99", "0001-01-01T00:00:00Z", "9999-12-31", "a" * 70_000, "resp_====", "completion", "chat",
    "gpt-4o", "openai", "openai/gpt-4o", "500", "999999", "acompletion", "embedding", "LLM", "ai.generateText",
)  # fmt: skip
values = st.one_of(
    st.sampled_from(WILD).map(lambda text: AnyValue(string_value=text)),
    (i64 | st.integers(-2, 300)).map(lambda number: AnyValue(int_value=number)),
    doubles.map(lambda number: AnyValue(double_value=number)),
    any_values,
)
attributes = st.lists(st.builds(KeyValue, key=st.sampled_from(NAMES), value=values), max_size=12)
#: With these a span is taken for a call by one dialect or another.
CALLS = (
    {},
    {"llm.request.type": "completion", "gen_ai.operation.name": "acompletion", "hidden_params": "{}"},
    {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"},
    {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"},
)
calls = st.sampled_from(CALLS).map(
    lambda said: [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in said.items()]
)
moments = u64 | st.sampled_from((0, 1, NOW, NOW + 10**9, 2**63 - 1, 2**63, 2**64 - 1))
spans = st.builds(
    lambda call, more, **said: Span(attributes=[*call, *more], **said),
    calls,
    attributes,
    trace_id=st.sampled_from((b"", b"\1", b"\1" * 16, b"\2" * 16, bytes(16))),
    span_id=st.binary(min_size=8, max_size=8) | st.just(b""),
    parent_span_id=st.sampled_from((b"", b"\1" * 8)),
    name=st.sampled_from(("", "litellm_request", "raw_gen_ai_request", "chat gpt-4o", "\0")),
    start_time_unix_nano=moments,
    end_time_unix_nano=moments,
    status=st.builds(Status, code=st.integers(-1, 3)),
    events=st.lists(
        st.builds(Span.Event, name=st.sampled_from(("exception", "", "gen_ai.choice")), attributes=attributes),
        max_size=2,
    ),
)
blocks = st.builds(
    ResourceSpans,
    resource=st.fixed_dictionaries({"attributes": attributes}),
    scope_spans=st.lists(
        st.builds(
            ScopeSpans,
            scope=st.fixed_dictionaries({"name": st.sampled_from(("litellm", "", "openinference.x", "ai"))}),
            spans=st.lists(spans, max_size=4),
        ),
        max_size=2,
    ),
)
requests = st.builds(ExportTraceServiceRequest, resource_spans=st.lists(blocks, min_size=1, max_size=3))
SUMS = """
SELECT count() AS calls, countIf(input_tokens < 0 OR cost_input_usd < 0) AS below_zero,
  countIf(cost_usd != cost_input_usd + cost_output_usd + cost_cache_usd + cost_other_usd
                      - ifNull(discount_usd, 0) + ifNull(margin_usd, 0)) AS unlike_their_parts
FROM genai_calls
"""
#: A call that was found to be a part of another one has no live entry any more. An id that comes again in another hour
#: is another call.
BROKEN = """
SELECT call_key
FROM (SELECT call_key, version, any(started_at) AS start, sum(sign) AS n FROM genai_ledger GROUP BY call_key, version)
GROUP BY call_key, toStartOfHour(start) HAVING min(n) < 0 OR max(n) > 1 OR sum(n) > 1
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A serve."""
    with serving(tmp_path_factory.mktemp("strange") / "data") as house:
        yield house


def test_strange_calls_stop_nobody(house: House) -> None:
    """Calls with any times, tokens, costs, ids and JSON are accepted; the writer goes on; nothing is a dead letter."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def send(request: ExportTraceServiceRequest) -> None:
        status, answer = house.post("/v1/traces", request.SerializeToString())
        assert status == 200, answer

    send()
    name = secrets.token_hex(8)
    last = Span(name=name, trace_id=b"\3" * 16, span_id=b"\3" * 8, start_time_unix_nano=NOW, end_time_unix_nano=NOW)
    message = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[last])])])
    house.send("/v1/traces", message.SerializeToString())
    house.wait_for(f"SELECT 1 FROM otel_traces WHERE SpanName = '{name}'")
    assert house.get("/readyz") == (200, "ready\n")
    assert list((house.data_dir / "spool" / "dead-letter").iterdir()) == []
    (sums,) = house.ask(SUMS)
    assert sums["calls"] > 20 and sums["unlike_their_parts"] == 0 and sums["below_zero"] == 0
    assert house.ask(BROKEN) == [], "more than one live entry of a call, or a reversal of nothing"
    report = tokentide("report", "--since", "1970-01-01", "--data-dir", house.data_dir, cwd=house.data_dir)
    assert report.returncode == 0, report.stderr
