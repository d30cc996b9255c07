"""Secrets and message content in every place that OTLP and LiteLLM have for them. All of it is made up."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

OPENAI_KEY: Final = "sk-" + "proj-Zq8Lw2Rt5Yx9Vb3Nm6Kj1Hg4Fd7Sa0PoIuYtRe"
AWS_KEY_ID: Final = "AKIA" + "Q3Z7XK5WM2N8P4RT"
AWS_SECRET: Final = "n7Vb2/Lk9Qw" + "ErTy4+UiOp6AsDf8GhJk1ZxCv3BnMqW5"
BEARER: Final = "f00d5Kq2" + "Zt8Yw4Xv6Ub1Na3Mc7Ld9"
#: What must never be found, under any policy.
SECRETS: Final = (OPENAI_KEY, AWS_KEY_ID, AWS_SECRET, BEARER)
EMAIL: Final = "ada.lovelace@example.org"
PROMPT: Final = "the mango ripens at midnight behind the observatory"
ANSWER: Final = "seventeen herons were counted before the fog came"
CONTENT: Final = (PROMPT, ANSWER)
#: Not content and no secret: finding it proves that the search can find something.
CANARY: Final = "canary-5d1e77c0ffee"

LEAK: Final = (
    f"key {OPENAI_KEY}, AWS_ACCESS_KEY_ID={AWS_KEY_ID} AWS_SECRET_ACCESS_KEY={AWS_SECRET}\n"
    f"curl -H 'Authorization: Bearer {BEARER}'"
)
_AS_JSON: Final = json.dumps(
    {"api_key": OPENAI_KEY, "aws": {"aws_secret_access_key": AWS_SECRET}, "h": {"authorization": f"Bearer {BEARER}"}}
)
_TALK: Final = f"{PROMPT}, says {EMAIL}. {LEAK}"
_CHAT: Final = json.dumps([{"role": "user", "parts": [{"type": "text", "content": _TALK}]}])
_NOW: Final = (int(time.time()) - 600) * 10**9
_TRACE: Final = b"\x5e" * 16


def leftovers(secret: str) -> tuple[str, ...]:
    """How a text may still be there: itself, or as base64 (at any of three offsets)."""
    shifted = [b64encode(b"x" * shift + secret.encode()).decode().rstrip("=") for shift in range(3)]
    return (secret, *(text[4:-4] for text in shifted))


def _text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def _texts(**values: str) -> list[KeyValue]:
    return [KeyValue(key=key.replace("__", "."), value=_text(value)) for key, value in values.items()]


def _everywhere() -> list[KeyValue]:
    """Attributes that are nobody's content: secrets in names, in text, JSON, repr, bytes, arrays, maps, headers."""
    nested = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=f"of {OPENAI_KEY}", value=_text(LEAK))]))
    return [
        KeyValue(key="deployment.stage", value=_text(CANARY)),
        KeyValue(key=f"seen {OPENAI_KEY}", value=_text("")),
        KeyValue(key="app.note", value=_text(LEAK)),
        KeyValue(key="app.settings", value=_text(_AS_JSON)),
        KeyValue(key="app.repr", value=_text(repr(json.loads(_AS_JSON)))),
        KeyValue(key="app.json_in_json", value=_text(json.dumps({"inner": _AS_JSON}))),
        KeyValue(key="app.bytes", value=AnyValue(bytes_value=LEAK.encode())),
        KeyValue(key="app.list", value=AnyValue(array_value=ArrayValue(values=[_text(LEAK), nested]))),
        KeyValue(key="app.map", value=nested),
        KeyValue(key="http.request.header.authorization", value=_text(f"Bearer {BEARER}")),
        KeyValue(key="aws_secret_access_key", value=_text(AWS_SECRET)),
        KeyValue(key="url.full", value=_text(f"https://x.example/v1?api_key={OPENAI_KEY}&token={BEARER}")),
    ]


def _litellm() -> list[KeyValue]:
    """A LiteLLM call: content where LiteLLM puts it, secrets where users put them."""
    return _texts(
        gen_ai__operation__name="acompletion",
        llm__request__type="completion",
        gen_ai__system="openai",
        gen_ai__request__model="gpt-4o",
        gen_ai__response__model="gpt-4o",
        gen_ai__response__id="chatcmpl-Zk3QmT8vRw5YxBn2Lp7D",
        litellm__call_id=OPENAI_KEY,
        metadata__user_api_key_alias=f"alias of {OPENAI_KEY}",
        metadata__user_api_key_team_alias=f"Bearer {BEARER}",
        metadata__user_api_key_end_user_id=f"id {AWS_KEY_ID}",
        metadata__requester_metadata=repr({"note": LEAK}),
        metadata__requester_custom_headers=repr({"authorization": f"Bearer {BEARER}"}),
        hidden_params=json.dumps({"api_base": f"https://{OPENAI_KEY}@x.example", "additional_headers": {"x": LEAK}}),
        gen_ai__prompt__0__content=_TALK,
        gen_ai__completion__0__content=ANSWER + LEAK,
        gen_ai__input__messages=_CHAT,
        gen_ai__output__messages=_CHAT.replace(PROMPT, ANSWER),
        gen_ai__system_instructions=_TALK,
        llm__openai__messages=_CHAT,
        input__value=_TALK,
        proxy_server_request=repr({"body": {"messages": [{"role": "user", "content": _TALK}]}}),
    )


def _failure() -> list[KeyValue]:
    """An exception as LiteLLM's callers record it, quoting everything."""
    said = f"litellm.AuthenticationError: Incorrect API key provided: {OPENAI_KEY}. Request: {_TALK}"
    trace = f"Traceback (most recent call last):\n  completion(messages=[{_TALK!r}])\n{said}"
    return _texts(exception__type="litellm.AuthenticationError", exception__message=said, exception__stacktrace=trace)


def traces() -> bytes:
    """A call, its failure and a gateway's span."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add(schema_url=f"https://x.example/{OPENAI_KEY}")
    block.resource.attributes.extend([*_texts(service__name=f"app {OPENAI_KEY}"), *_everywhere()])
    scope = {"name": "litellm", "version": OPENAI_KEY, "attributes": _everywhere()}
    inside = block.scope_spans.add(scope=scope)
    span = inside.spans.add(
        trace_id=_TRACE,
        span_id=b"\1" * 8,
        name=f"litellm_request {OPENAI_KEY}",
        trace_state=f"k={OPENAI_KEY}",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_NOW,
        end_time_unix_nano=_NOW + 10**9,
        attributes=[*_litellm(), *_everywhere(), *_failure()],
        status=Status(code=Status.STATUS_CODE_ERROR, message=f"APIError: {_TALK}"),
    )
    span.events.add(time_unix_nano=_NOW, name="exception", attributes=_failure())
    span.events.add(time_unix_nano=_NOW, name="gen_ai.content.prompt", attributes=_texts(gen_ai__prompt=_TALK))
    span.events.add(time_unix_nano=_NOW, name=f"saw {OPENAI_KEY}", attributes=_everywhere())
    span.links.add(trace_id=_TRACE, span_id=b"\2" * 8, trace_state=f"k={OPENAI_KEY}", attributes=_everywhere())
    inside.spans.add(trace_id=_TRACE, span_id=b"\3" * 8, name=LEAK, start_time_unix_nano=_NOW, attributes=_everywhere())
    return request.SerializeToString()


def logs() -> bytes:
    """Bodies of all sorts, of LLM calls and of others."""
    request = ExportLogsServiceRequest()
    block = request.resource_logs.add()
    block.resource.attributes.extend(_everywhere())
    inside = block.scope_logs.add(scope={"name": "litellm", "attributes": _everywhere()})
    message = AnyValue(kvlist_value=KeyValueList(values=_texts(content=_TALK, role="user")))
    spoken = {"gen_ai.user.message": message, "gen_ai.choice": _text(_CHAT.replace(PROMPT, ANSWER))}
    for name, body in spoken.items():
        attributes = [*_texts(gen_ai__system="openai"), *_everywhere()]
        inside.log_records.add(time_unix_nano=_NOW, event_name=name, body=body, attributes=attributes)
    failed = _text(f"litellm.BadRequestError: {_TALK}")
    inside.log_records.add(time_unix_nano=_NOW, event_name="exception", body=failed, attributes=_failure())
    plain = block.scope_logs.add(scope={"name": f"app {OPENAI_KEY}"})
    plain.log_records.add(time_unix_nano=_NOW, severity_text=OPENAI_KEY, body=_text(LEAK), attributes=_everywhere())
    plain.log_records.add(time_unix_nano=_NOW, body=AnyValue(bytes_value=LEAK.encode()))
    return request.SerializeToString()


def metrics() -> bytes:
    """Secrets in names, units, attributes and exemplars."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    block.resource.attributes.extend(_everywhere())
    inside = block.scope_metrics.add(scope={"name": f"app {OPENAI_KEY}", "attributes": _everywhere()})
    exemplar = {"filtered_attributes": _everywhere(), "as_int": 1, "time_unix_nano": _NOW}
    point = {"attributes": _everywhere(), "as_int": 1, "time_unix_nano": _NOW, "exemplars": [exemplar]}
    inside.metrics.add(name=f"m {OPENAI_KEY}", unit=OPENAI_KEY, description=LEAK, gauge={"data_points": [point]})
    return request.SerializeToString()
