"""The demo's history as OTLP: what a LiteLLM proxy in its default mode, an instrumented agent and Claude Code send."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Histogram
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from otel_exporter.demo.history import Call, Refusal

#: A call, and what its reporter says it cost.
Told = tuple[Call, float | None]
#: Dollars a team's key may spend in a month, of which the gateway tells with every call.
BUDGETS: Final = {"support": 1.0, "search": 2.0, "research": 5.0, "checkout": 0.5, "community": 1.0}
_AT_ONCE: Final = 256
_TOKENS_A_MINUTE: Final = 200_000


def traces(history: Sequence[Told], refused: Iterable[Refusal] = ()) -> Iterator[bytes]:
    """Export requests with the spans of all calls but the coding agent's."""
    blocks = [*_gateway(history), *(_refused(refusal) for refusal in refused)]
    blocks += [_agent(call) for call, _ in history if call.reporter == "agent"]
    for start in range(0, len(blocks), _AT_ONCE):
        yield ExportTraceServiceRequest(resource_spans=blocks[start : start + _AT_ONCE]).SerializeToString()


def logs(history: Sequence[Told]) -> Iterator[bytes]:
    """Export requests with the coding agent's log events."""
    told = [(call, cost) for call, cost in history if call.reporter == "coding agent"]
    for start in range(0, len(told), _AT_ONCE):
        request = ExportLogsServiceRequest()
        for call, cost in told[start : start + _AT_ONCE]:
            block = request.resource_logs.add()
            block.resource.attributes.extend(_attributes({"service.name": "claude-code", "demo": True}))
            scope = block.scope_logs.add()
            scope.scope.name = "com.anthropic.claude_code.events"
            scope.log_records.append(_event(call, cost))
        yield request.SerializeToString()


def metrics(history: Iterable[Call]) -> Iterator[bytes]:
    """The agents' own counters of calls, one point an hour in which they grew: of those that no span tells of, too."""
    series: dict[tuple[str, str, bool], list[Call]] = defaultdict(list)
    for call in history:
        if call.reporter == "agent":
            series[call.application, call.model, call.failed].append(call)
    request = ExportMetricsServiceRequest()
    for (application, model, failed), counted in series.items():
        block = request.resource_metrics.add()
        block.resource.attributes.extend(_attributes({"service.name": application, "demo": True}))
        scope = block.scope_metrics.add()
        scope.scope.name = "opentelemetry.instrumentation.openai_v2"
        histogram = scope.metrics.add(name="gen_ai.client.operation.duration", unit="s").histogram
        histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        _count(histogram, counted, said | ({"error.type": "openai.RateLimitError"} if failed else {}))
    yield request.SerializeToString()


def _count(histogram: Histogram, counted: Sequence[Call], said: Mapping[str, object]) -> None:
    """One cumulative series from the hour of its first call."""
    began = _hour(counted[0])
    calls, seconds = 0, 0.0
    for _, group in groupby(counted, _hour):
        of_hour = list(group)
        calls, seconds = calls + len(of_hour), seconds + sum(call.seconds for call in of_hour)
        last = max(call.at + timedelta(seconds=call.seconds) for call in of_hour)
        point = histogram.data_points.add(count=calls, sum=seconds, time_unix_nano=_nanoseconds(last))
        point.start_time_unix_nano = _nanoseconds(began)
        point.attributes.extend(_attributes(said))


def _hour(call: Call) -> datetime:
    return call.at.replace(minute=0, second=0, microsecond=0)


def booked(history: Sequence[Told]) -> Iterator[tuple[str, str, str, str, str, str, bool]]:
    """What the gateway's own books would say of its calls: the columns of `otel_exporter.agreement.sides.SIDE`."""
    for call, cost in history:
        if call.reporter == "gateway":
            own = _uuid(call) + "/failed" if call.failed else _uuid(call) if call.embedding else _response_id(call)
            key = f"cache:{_uuid(call)}" if call.cache_hit else f"id:{own}"
            paid = "0" if call.cache_hit or not cost else repr(cost)
            yield key, call.at.isoformat(), call.team, f"{call.team}-key", call.model, paid, call.cache_hit


def _gateway(history: Sequence[Told]) -> Iterator[ResourceSpans]:
    """One block a request: the span of the request, and one in it for each attempt."""
    spent: dict[tuple[str, int], float] = defaultdict(float)
    proxied = [told for told in history if told[0].reporter == "gateway"]
    for _, group in groupby(proxied, lambda told: told[0].request):
        attempts = list(group)
        first, last = attempts[0][0], attempts[-1][0]
        trace, outer = _id(first, "trace", 16), _id(first, "request", 8)
        spans = [_span(first, trace, outer, b"", "Received Proxy Server Request", {}, last=last)]
        for number, (call, cost) in enumerate(attempts):
            month = (call.team, call.at.month)
            spent[month] += 0 if call.cache_hit else cost or 0
            said = _litellm(call, cost, spent[month])
            spans.append(_span(call, trace, _id(call, f"call-{number}", 8), outer, "litellm_request", said))
        resource = {"service.name": "demo-llm-gateway", "deployment.environment": "production"}
        yield _resource(resource, "litellm", *spans)


def _litellm(call: Call, cost: float | None, spent: float) -> dict[str, object]:
    """A `litellm_request` span's attributes."""
    said = _key(call.team, call.at, spent) | {
        "gen_ai.operation.name": "embedding" if call.embedding else "acompletion",
        "llm.request.type": "embedding" if call.embedding else "completion",
        "gen_ai.system": call.provider,
        "gen_ai.request.model": call.model,
        "litellm.provider.model": f"{call.provider}/{call.model}",
        "litellm.model_group": call.asked,
        "litellm.call_id": _uuid(call),
        "llm.is_streaming": str(call.streamed),
        "metadata.user_api_key_user_id": call.user,
        "metadata.user_api_key_request_route": "/v1/chat/completions",
        "metadata.requester_metadata": repr({"tags": [call.application]}),
        "metadata.applied_guardrails": "['pii-filter']" if call.guarded else "[]",
        "gen_ai.response.id": _uuid(call) if call.failed or call.embedding else _response_id(call),
    }
    if call.failed:
        return said | {"error.type": "RateLimitError", "error.code": "429", "error.llm_provider": call.provider}
    usage = {"prompt_tokens": call.input_tokens, "completion_tokens": call.output_tokens}
    details = {"prompt_tokens_details": {"cached_tokens": call.cached_tokens}}
    said |= {
        "hidden_params": _hidden(call),
        "gen_ai.response.model": call.model,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.usage.total_tokens": call.input_tokens + call.output_tokens,
        "metadata.usage_object": repr(usage | details),
    }
    return said if cost is None else said | {"gen_ai.cost.total_cost": cost}


def _key(team: str, at: datetime, spent: float) -> dict[str, object]:
    """What the gateway says of the key a request came with."""
    year, month = divmod(at.year * 12 + at.month, 12)
    return {
        "metadata.user_api_key_hash": hashlib.sha256(team.encode()).hexdigest(),
        "metadata.user_api_key_alias": f"{team}-key",
        "metadata.user_api_key_team_alias": team,
        "metadata.user_api_key_team_id": f"team-{team}",
        "metadata.user_api_key_max_budget": BUDGETS[team],
        "metadata.user_api_key_spend": spent,
        "metadata.user_api_key_budget_reset_at": f"{year:04}-{month + 1:02}-01T00:00:00+00:00",
    }


def _hidden(call: Call) -> str:
    """`hidden_params`: a cache key on what the gateway's cache answered, else the provider's headers."""
    seed = int.from_bytes(_id(call, "noise", 2), "big") / 65536
    left = int(_TOKENS_A_MINUTE * (0.3 + 0.6 * seed))
    headers = {"x_ratelimit_remaining_tokens": left, "x_ratelimit_remaining_requests": left // 400}
    return json.dumps(
        {
            "model_id": f"demo-{call.model}",
            "cache_key": _uuid(call) if call.cache_hit else None,
            "api_base": f"https://api.{call.provider}.com",
            "litellm_overhead_time_ms": round(3 + 9 * seed, 2),
            "additional_headers": None if call.cache_hit else headers,
        }
    )


def _refused(refusal: Refusal) -> ResourceSpans:
    seed = hashlib.sha256(refusal.at.isoformat().encode()).digest()
    said = _key(refusal.team, refusal.at, BUDGETS[refusal.team]) | {
        "llm.request.type": "completion",
        "hidden_params": "{}",
        "gen_ai.request.model": refusal.model,
        "litellm.model_group": refusal.model,
        "error.type": refusal.error,
        "error.code": str(refusal.code),
    }
    start = _nanoseconds(refusal.at)
    span = Span(
        trace_id=seed[:16],
        span_id=seed[16:24],
        name="litellm_request",
        start_time_unix_nano=start,
        end_time_unix_nano=start + 4_000_000,
        attributes=_attributes(said),
        status=Status(code=Status.STATUS_CODE_ERROR),
    )
    return _resource({"service.name": "demo-llm-gateway"}, "litellm", span)


def _agent(call: Call) -> ResourceSpans:
    """An agent's turn as OpenTelemetry's instrumentation says it: the agent, the call in it, and the tool it ran."""
    trace, agent, inner = (_id(call, "trace", 16), _id(call, "agent", 8), _id(call, "chat", 8))
    about = {"gen_ai.agent.name": "travel-planner", "gen_ai.conversation.id": call.session}
    asked: dict[str, object] = {
        **about,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.model,
        "gen_ai.request.stream": call.streamed,
    }
    if call.failed:
        asked |= {"error.type": "openai.RateLimitError", "http.response.status_code": 429}
    else:
        asked |= {
            "gen_ai.response.model": call.model,
            "gen_ai.response.id": _response_id(call),
            "gen_ai.usage.input_tokens": call.input_tokens,
            "gen_ai.usage.output_tokens": call.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": call.cached_tokens,
        }
        asked |= {"gen_ai.response.time_to_first_chunk": call.seconds / 6} if call.streamed else {}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_trains"}
    spans = [
        _span(
            call, trace, agent, b"", "invoke_agent travel-planner", about | {"gen_ai.operation.name": "invoke_agent"}
        ),
        _span(call, trace, inner, agent, f"chat {call.model}", asked),
        _span(call, trace, _id(call, "tool", 8), agent, "execute_tool find_trains", tool),
    ]
    resource = {
        "service.name": call.application,
        "team": call.team,
        "user.id": call.user,
        "deployment.environment.name": "demo",
    }
    return _resource(resource, "opentelemetry.instrumentation.openai_v2", *spans)


def _event(call: Call, cost: float | None) -> LogRecord:
    """A request to the API as Claude Code logs it; its input counts no cached tokens."""
    said: dict[str, object] = {
        "event.name": "api_error" if call.failed else "api_request",
        "session.id": call.session,
        "user.email": f"{call.user}@demo.example",
        "team": call.team,
        "request_id": "req_" + _id(call, "log", 12).hex(),
        "model": call.model,
        "duration_ms": int(call.seconds * 1000),
    }
    if call.failed:
        said |= {"status_code": "529", "error": "overloaded_error"}
    else:
        said |= {
            "input_tokens": call.input_tokens - call.cached_tokens,
            "output_tokens": call.output_tokens,
            "cache_read_tokens": call.cached_tokens,
            "cache_creation_tokens": 0,
            "cost_usd": cost or 0.0,
        }
    done = _nanoseconds(call.at + timedelta(seconds=call.seconds))
    body = AnyValue(string_value=f"claude_code.{said['event.name']}")
    return LogRecord(time_unix_nano=done, observed_time_unix_nano=done, body=body, attributes=_attributes(said))


def _id(call: Call, what: str, size: int) -> bytes:
    seed = f"{what}/{call.request}" if what in ("trace", "request") else f"{what}/{call.request}/{call.at.isoformat()}"
    return hashlib.sha256(seed.encode() + call.reporter.encode()).digest()[:size]


def _uuid(call: Call) -> str:
    text = _id(call, "call id", 16).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _response_id(call: Call) -> str:
    return "chatcmpl-" + _id(call, "answer", 12).hex()


def _span(
    call: Call,
    trace: bytes,
    span: bytes,
    parent: bytes,
    name: str,
    said: Mapping[str, object],
    *,
    last: Call | None = None,
) -> Span:
    """A span over a call, or from it to the end of its ``last`` attempt."""
    until = last or call
    calling = name.startswith(("chat ", "litellm"))
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_CLIENT if calling else Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_nanoseconds(call.at),
        end_time_unix_nano=_nanoseconds(until.at + timedelta(seconds=until.seconds)),
        attributes=_attributes(said),
        status=Status(code=Status.STATUS_CODE_ERROR if until.failed else Status.STATUS_CODE_OK),
    )


def _resource(said: Mapping[str, object], scope: str, *spans: Span) -> ResourceSpans:
    block = ResourceSpans()
    block.resource.attributes.extend(_attributes({**said, "demo": True}))
    inside = block.scope_spans.add()
    inside.scope.name = scope
    inside.spans.extend(spans)
    return block


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)


def _attributes(said: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in said.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))
