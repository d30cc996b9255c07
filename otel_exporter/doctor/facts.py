"""Pieces of SQL that several questions share. All of them look at what came at or after the parameter ``since``."""

from __future__ import annotations

from typing import Final

#: The service name of our own probe span: never part of an examination.
PROBE_SERVICE: Final = "tokentide-doctor"

SINCE: Final = "parseDateTime64BestEffort({since:String}, 9, 'UTC')"
SPANS: Final = f"(SELECT * FROM otel_traces WHERE Timestamp >= {SINCE} AND ServiceName != '{PROBE_SERVICE}')"
LOGS: Final = f"(SELECT * FROM otel_logs WHERE Timestamp >= {SINCE})"
CALLS: Final = f"(SELECT * FROM genai_calls WHERE started_at >= {SINCE})"
#: One row per observation of a call: which dialect said it, and which span or record it was.
SEEN: Final = f"""(SELECT call_key, observed['source'] AS source, observed['observation_id'] AS observation
    FROM (SELECT call_key, arrayJoin(said) AS observed FROM genai_ledger FINAL
        WHERE sign = 1 AND started_at >= {SINCE}))"""


def has(*names: str) -> str:
    """Whether a span carries any of these attributes."""
    return "(" + " OR ".join(f"mapContains(SpanAttributes, '{name}')" for name in names) + ")"


def says(*names: str) -> str:
    """Whether a span says anything under one of these names."""
    return "(" + " OR ".join(f"SpanAttributes['{name}'] != ''" for name in names) + ")"


#: A span of LiteLLM's first callback that describes a call, whatever it is called and whoever made it.
V1: Final = f"({has('llm.request.type')} AND {has('hidden_params', 'litellm.call_id')})"
SEMCONV: Final = f"({V1} AND {has('gen_ai.provider.name')} AND NOT {has('gen_ai.system')})"
V2: Final = f"({has('litellm.call_type')} AND {has('litellm.call_id')})"
#: LiteLLM v1's second span, the provider's own words.
RAW: Final = (
    "(SpanName = 'raw_gen_ai_request' OR arrayExists(k -> match(k, '^llm[.][^.]+[.]usage$'), mapKeys(SpanAttributes)))"
)
#: A log record of Tokentide's callback for LiteLLM, and the services that have it.
BY_CALLBACK: Final = "mapContains(LogAttributes, 'litellm.callback.instance')"
WITH_CALLBACK: Final = f"(SELECT DISTINCT ServiceName FROM {LOGS} WHERE {BY_CALLBACK})"
_BY_PROXY: Final = (
    "("
    + says(
        "metadata.user_api_key_hash",
        "metadata.user_api_key_request_route",
        "metadata.user_api_key_team_id",
        "litellm.api_key.hash",
        "litellm.request.route",
    )
    + " OR startsWith(SpanAttributes['code.function.name'], 'litellm.proxy.')"
    + " OR SpanName = 'Received Proxy Server Request')"
)
_PROXIED_TRACES: Final = f"(TraceId, ServiceName) IN (SELECT TraceId, ServiceName FROM {SPANS} WHERE {_BY_PROXY})"
#: Where LiteLLM ran, as far as its span and the rest of its trace say: ``proxy`` or ``sdk``.
SIDE: Final = f"if({_BY_PROXY} OR {_PROXIED_TRACES}, 'proxy', 'sdk')"
#: A raw span whose parent arrived with the call's attributes, as it should be.
RAW_HAS_ITS_CALL: Final = f"(TraceId, ParentSpanId) IN (SELECT TraceId, SpanId FROM {SPANS} WHERE {V1})"
