"""Benchmark traffic: what a LiteLLM SDK in its default mode sends, two spans a call, 20 to 24 attributes each."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_WORDS = (
    "alpha",
    "budget",
    "cache",
    "delta",
    "error",
    "forecast",
    "gateway",
    "hour",
    "input",
    "judge",
    "kernel",
    "ledger",
)


def requests(
    count: int, spans: int = 512, *, content_bytes: int = 0, seed: int = 7, rng: random.Random | None = None
) -> Iterator[bytes]:
    """``count`` requests of ``spans`` spans; ``content_bytes`` of distinct message text on every LLM span."""
    rng = rng or random.Random(seed)
    now = time.time_ns() - 3_600_000_000_000
    for number in range(count):
        request = ExportTraceServiceRequest()
        block = request.resource_spans.add()
        block.resource.attributes.extend(
            _attributes({"service.name": f"app-{number % 8}", "team": f"team-{number % 5}", "host.name": "bench-host"})
        )
        scope = block.scope_spans.add()
        scope.scope.name = "litellm"
        for place in range(0, spans, 2):
            start = now + (number * spans + place) * 1_000_000
            scope.spans.extend(_call(rng, start, content_bytes)[: spans - place])
        yield request.SerializeToString()


def _call(rng: random.Random, start: int, content_bytes: int) -> list[Span]:
    trace, outer, inner = rng.randbytes(16), rng.randbytes(8), rng.randbytes(8)
    call_id = str(uuid.UUID(bytes=rng.randbytes(16)))
    response_id = f"chatcmpl-{rng.randbytes(12).hex()}"
    prompt, answer = rng.randint(20, 4000), rng.randint(5, 900)
    said: dict[str, str | int | float | bool] = {
        "hidden_params": '{"model_id": "m-1", "cache_key": null, "api_base": "https://api.openai.com/v1"}',
        "metadata.user_api_key_hash": "",
        "metadata.user_api_key_team_alias": "",
        "metadata.applied_guardrails": "[]",
        "metadata.usage_object": repr(
            {"completion_tokens": answer, "prompt_tokens": prompt, "total_tokens": prompt + answer}
        ),
        "litellm.provider.model": "gpt-4o-mini",
        "gen_ai.cost.input_cost": prompt * 1.5e-7,
        "gen_ai.cost.output_cost": answer * 6e-7,
        "gen_ai.cost.total_cost": prompt * 1.5e-7 + answer * 6e-7,
        "gen_ai.request.model": "gpt-4o-mini",
        "llm.request.type": "completion",
        "gen_ai.system": "openai",
        "gen_ai.request.temperature": 0.3,
        "llm.is_streaming": "False",
        "gen_ai.response.id": response_id,
        "litellm.call_id": call_id,
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.total_tokens": prompt + answer,
        "gen_ai.usage.output_tokens": answer,
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.operation.name": "chat",
        "gen_ai.response.finish_reasons": '["stop"]',
    }
    raw: dict[str, str | int | float | bool] = {
        "llm.openai.id": response_id,
        "llm.openai.model": "gpt-4o-mini-2024-07-18",
        "llm.openai.object": "chat.completion",
        "llm.openai.system_fingerprint": "fp_44709d6fcb",
        **{f"llm.openai.extra_{place}": place for place in range(16)},
    }
    if content_bytes:
        said["gen_ai.input.messages"] = _text(rng, content_bytes * 3 // 4)
        said["gen_ai.output.messages"] = _text(rng, content_bytes // 4)
    return [
        _span(trace, outer, b"", "litellm_request", start, said),
        _span(trace, inner, outer, "raw_gen_ai_request", start, raw),
    ]


def _text(rng: random.Random, size: int) -> str:
    words = " ".join(rng.choice(_WORDS) for _ in range(size // 7))
    return f'[{{"role": "user", "parts": [{{"type": "text", "content": "{rng.randbytes(8).hex()} {words}"}}]}}]'


def _span(
    trace: bytes, span: bytes, parent: bytes, name: str, start: int, said: dict[str, str | int | float | bool]
) -> Span:
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=start + 800_000_000,
        attributes=_attributes(said),
        status=Status(code=Status.STATUS_CODE_OK),
    )


def _attributes(said: dict[str, str | int | float | bool]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in said.items()]


def _value(value: str | float | bool) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)
