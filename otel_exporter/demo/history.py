"""Weeks of plausible history of a small company, as the OTLP requests a LiteLLM proxy and an instrumented app send.

Deterministic for a given last hour: seasons of day and week, a nightly batch, a model migration, failures, prompt
caching, one model nobody has a price for.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

UNPRICED: Final = "acme-internal-7b"


@dataclass(frozen=True)
class Call:
    """One physical call, as it really happened."""

    at: datetime
    team: str
    user: str
    application: str
    provider: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    seconds: float
    failed: bool
    streamed: bool
    through_gateway: bool


@dataclass(frozen=True)
class Habit:
    """How a team uses LLMs: calls per working hour, by model."""

    team: str
    application: str
    users: tuple[str, ...]
    models: tuple[tuple[str, str, float], ...]  # provider, model, share
    per_hour: float
    prompt: int
    answer: int
    cached_share: float = 0.0
    nightly: bool = False
    through_gateway: bool = True


HABITS: Final = (
    Habit("support", "helpdesk-bot", ("ana", "ben"), (("openai", "gpt-4o-mini", 1.0),), 6, 1800, 220, cached_share=0.6),
    Habit(
        "search",
        "shop-search",
        ("eve",),
        (("openai", "gpt-4o", 0.5), ("anthropic", "claude-sonnet-4-5-20250929", 0.5)),
        3,
        900,
        160,
    ),
    Habit("search", "shop-search", ("eve",), (("openai", "text-embedding-3-small", 1.0),), 4, 400, 0),
    Habit("research", "nightly-eval", ("ivy",), (("openai", "gpt-4o-mini", 1.0),), 40, 2500, 400, nightly=True),
    Habit("checkout", "fraud-notes", ("joe",), (("openai", UNPRICED, 1.0),), 0.3, 600, 90),
    Habit("mobile", "travel-app", ("kim",), (("openai", "gpt-4o-mini", 1.0),), 2, 700, 150, through_gateway=False),
)


def calls(last_hour: datetime, days: int) -> Iterator[Call]:
    """Every call of the ``days`` before ``last_hour``, in order of time."""
    rng = random.Random(last_hour.date().toordinal())
    start = last_hour - timedelta(days=days)
    for hour in range(days * 24):
        moment = start + timedelta(hours=hour)
        for habit in HABITS:
            expected = habit.per_hour * _season(moment, nightly=habit.nightly)
            count = int(expected) + (rng.random() < expected % 1)
            for at in sorted(moment + timedelta(seconds=rng.uniform(0, 3590)) for _ in range(count)):
                yield _call(rng, habit, at)


def _season(moment: datetime, *, nightly: bool) -> float:
    if nightly:
        return 1.0 if moment.hour == 2 else 0.0
    office = max(0.05, 1 - abs(moment.hour - 13) / 8)
    return office * (0.3 if moment.weekday() >= 5 else 1.0)


def _call(rng: random.Random, habit: Habit, at: datetime) -> Call:
    provider, model, _ = rng.choices(habit.models, [share for *_, share in habit.models])[0]
    prompt = max(16, int(rng.gauss(habit.prompt, habit.prompt / 5)))
    failed = rng.random() < 0.015
    cached = prompt // 2 if rng.random() < habit.cached_share else 0
    answer = max(1, int(rng.gauss(habit.answer, habit.answer / 4))) if habit.answer else 0
    return Call(
        at=at,
        team=habit.team,
        user=rng.choice(habit.users),
        application=habit.application,
        provider=provider,
        model=model,
        input_tokens=0 if failed else prompt,
        cached_tokens=0 if failed else cached,
        output_tokens=0 if failed else answer,
        seconds=rng.uniform(0.3, 4.0),
        failed=failed,
        streamed=habit.answer > 0 and rng.random() < 0.5,
        through_gateway=habit.through_gateway,
    )


def requests(history: list[tuple[Call, float | None]], size: int = 256) -> Iterator[bytes]:
    """OTLP requests of ``size`` calls each; with each call comes the cost a gateway would report."""
    for start in range(0, len(history), size):
        request = ExportTraceServiceRequest()
        for number, (call, cost) in enumerate(history[start : start + size], start):
            request.resource_spans.append(
                _from_gateway(call, cost, number) if call.through_gateway else _direct(call, number)
            )
        yield request.SerializeToString()


def _from_gateway(call: Call, cost: float | None, number: int) -> ResourceSpans:
    """As LiteLLM's proxy in its default mode says it: the request it received, and the call inside."""
    trace, inner, outer = _ids(call, number)
    received = _span(call, trace, outer, b"", "Received Proxy Server Request", Span.SPAN_KIND_SERVER, {})
    attributes = _litellm(call, cost, number)
    request = _span(call, trace, inner, outer, "litellm_request", Span.SPAN_KIND_INTERNAL, attributes)
    return _resource(
        {"service.name": "demo-llm-gateway", "deployment.environment": "production"}, "litellm", received, request
    )


def _direct(call: Call, number: int) -> ResourceSpans:
    """As OpenTelemetry's own instrumentation says it."""
    trace, inner, _ = _ids(call, number)
    attributes: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.model,
    }
    if call.failed:
        attributes |= {"error.type": "openai.RateLimitError", "http.response.status_code": 429}
    else:
        attributes |= {
            "gen_ai.response.model": call.model,
            "gen_ai.response.id": _response_id(call, number),
            "gen_ai.usage.input_tokens": call.input_tokens,
            "gen_ai.usage.output_tokens": call.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": call.cached_tokens,
        }
    span = _span(call, trace, inner, b"", f"chat {call.model}", Span.SPAN_KIND_CLIENT, attributes)
    resource = {
        "service.name": call.application,
        "team": call.team,
        "user.id": call.user,
        "deployment.environment.name": "demo",
    }
    return _resource(resource, "opentelemetry.instrumentation.openai_v2", span)


def _litellm(call: Call, cost: float | None, number: int) -> dict[str, object]:
    call_id = _uuid(call, number)
    kind = "embedding" if not call.output_tokens and not call.failed else "completion"
    said: dict[str, object] = {
        "gen_ai.operation.name": "embedding" if kind == "embedding" else "acompletion",
        "llm.request.type": kind,
        "gen_ai.system": call.provider,
        "gen_ai.request.model": call.model,
        "litellm.provider.model": f"{call.provider}/{call.model}",
        "litellm.model_group": call.model,
        "litellm.call_id": call_id,
        "llm.is_streaming": str(call.streamed),
        "hidden_params": '{"model_id": "demo", "cache_key": null}',
        "metadata.user_api_key_hash": hashlib.sha256(call.team.encode()).hexdigest(),
        "metadata.user_api_key_alias": f"{call.team}-key",
        "metadata.user_api_key_team_alias": call.team,
        "metadata.user_api_key_team_id": f"team-{call.team}",
        "metadata.user_api_key_user_id": call.user,
        "gen_ai.response.id": call_id if call.failed or kind == "embedding" else _response_id(call, number),
    }
    if call.failed:
        return said | {"error.type": "RateLimitError", "error.code": "429", "error.llm_provider": call.provider}
    usage = {"prompt_tokens": call.input_tokens, "completion_tokens": call.output_tokens}
    details = {"prompt_tokens_details": {"cached_tokens": call.cached_tokens}}
    said |= {
        "gen_ai.response.model": call.model,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.usage.total_tokens": call.input_tokens + call.output_tokens,
        "metadata.usage_object": repr(usage | details),
    }
    return said if cost is None else said | {"gen_ai.cost.total_cost": cost}


def _ids(call: Call, number: int) -> tuple[bytes, bytes, bytes]:
    seed = hashlib.sha256(f"{call.at.isoformat()}/{number}".encode()).digest()
    return seed[:16], seed[16:24], seed[24:32]


def _uuid(call: Call, number: int) -> str:
    text = hashlib.sha256(f"call/{call.at.isoformat()}/{number}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


def _response_id(call: Call, number: int) -> str:
    return "chatcmpl-" + hashlib.sha256(f"answer/{call.at.isoformat()}/{number}".encode()).hexdigest()[:24]


def _span(call: Call, trace: bytes, span: bytes, parent: bytes, name: str, kind: int, said: dict[str, object]) -> Span:
    start = int(call.at.timestamp() * 1e9)
    code = Status.STATUS_CODE_ERROR if call.failed else Status.STATUS_CODE_OK
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=parent,
        name=name,
        kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(call.seconds * 1e9),
        attributes=_attributes(said),
        status=Status(code=code),
    )


def _resource(said: Mapping[str, object], scope: str, *spans: Span) -> ResourceSpans:
    block = ResourceSpans()
    block.resource.attributes.extend(_attributes({**said, "demo": True}))
    inside = block.scope_spans.add()
    inside.scope.name = scope
    inside.spans.extend(spans)
    return block


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
