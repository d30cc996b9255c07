"""One LLM call as an instrumentor exports it."""

from __future__ import annotations

import secrets
import time
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

_SAID: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o",
}


def call(trace_id: bytes, application: str = "shop", **attributes: str) -> bytes:
    """A request with one chat of ten tokens in and five out; ``attributes`` are the span's, ``__`` for a dot."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    block.resource.attributes.append(_text("service.name", application))
    now = time.time_ns() - 10**9
    span = block.scope_spans.add(scope={"name": "opentelemetry.instrumentation.openai_v2"}).spans.add(
        trace_id=trace_id,
        span_id=secrets.token_bytes(8),
        name="chat gpt-4o",
        kind=3,
        start_time_unix_nano=now,
        end_time_unix_nano=now + 10**8,
        attributes=[_text(name, value) for name, value in _SAID.items()],
    )
    span.attributes.append(_text("gen_ai.response.id", f"chatcmpl-{secrets.token_hex(12)}"))
    span.attributes.extend(_text(name.replace("__", "."), value) for name, value in attributes.items())
    for name, count in (("input", 10), ("output", 5)):
        span.attributes.append(KeyValue(key=f"gen_ai.usage.{name}_tokens", value=AnyValue(int_value=count)))
    return request.SerializeToString()


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
