"""Spans for tests: plain dicts become OTLP bytes, and those a batch, by the real decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from otel_exporter.decode import Decoder
from processors.batch import Batch, Signal
from processors.normalise import Normalise

SECOND = 10**9
START = 1_780_000_000 * SECOND
_DECODE = Decoder(None)
_NORMALISE = Normalise()


def batch_of(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None, tenant: str = "t") -> Batch:
    """A batch of spans. A span's keys: attributes, events {name: attributes}, name, scope, status, kind, id, parent,
    trace, start and end (seconds).
    """
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    part.resource.attributes.extend(_pairs(resource or {}))
    for number, about in enumerate(spans, start=1):
        scope = part.scope_spans.add()
        scope.scope.name = about.get("scope", "litellm")
        span = scope.spans.add(
            trace_id=bytes.fromhex(about.get("trace", "ab" * 16)),
            span_id=about.get("id", number).to_bytes(8, "big"),
            parent_span_id=about["parent"].to_bytes(8, "big") if "parent" in about else b"",
            name=about.get("name", "litellm_request"),
            kind=about.get("kind", 1),
            start_time_unix_nano=START + int(about.get("start", 0) * SECOND),
            end_time_unix_nano=START + int(about.get("end", 1) * SECOND),
            attributes=_pairs(about.get("attributes", {})),
        )
        span.status.code = about.get("status", 0)
        for name, attributes in about.get("events", {}).items():
            span.events.add(name=name, time_unix_nano=START, attributes=_pairs(attributes))
    return _DECODE.decode(Signal.TRACES, [request.SerializeToString()], tenant)


def observe(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The observations of these spans."""
    return normalised(batch_of(*spans, resource=resource)).to_dicts()


def normalised(batch: Batch) -> pl.DataFrame:
    """The observations of a batch."""
    return _NORMALISE(batch).observations


def litellm_span(attributes: Mapping[str, Any] | None = None, **about: Any) -> dict[str, Any]:
    """A span of LiteLLM's v1 callback: a plain successful call of the SDK, and what is changed of it."""
    usual = {
        "llm.request.type": "acompletion",
        "hidden_params": '{"model_id": null, "cache_key": null, "additional_headers": null}',
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.id": "chatcmpl-a3f642d0936a44bd8a037d71",
        "litellm.call_id": "27b7e135-0ad1-4f8e-9d2c-36c3e945b0c8",
        "litellm.provider.model": "openai/gpt-4o-mini",
        "gen_ai.usage.input_tokens": 25,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.usage.total_tokens": 37,
        "gen_ai.cost.total_cost": 1.095e-05,
    }
    return {"status": 1, **about, "attributes": _without_none(usual | dict(attributes or {}))}


#: What the v1 callback adds on a gateway.
PROXY = {
    "metadata.user_api_key_hash": "hash-1",
    "metadata.user_api_key_alias": "checkout",
    "metadata.user_api_key_request_route": "/v1/chat/completions",
    "metadata.user_api_key_team_id": "t-1",
    "metadata.user_api_key_team_alias": "Payments",
    "litellm.model_group": "fast",
}
#: No usage: what a failed v1 span does not have.
NO_USAGE = {
    "gen_ai.usage.input_tokens": None,
    "gen_ai.usage.output_tokens": None,
    "gen_ai.usage.total_tokens": None,
    "gen_ai.cost.total_cost": None,
}


def _without_none(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if value is not None}


def _pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    return AnyValue(string_value=value)
