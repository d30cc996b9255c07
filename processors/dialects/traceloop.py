"""OpenLLMetry (Traceloop): the GenAI conventions, old names in old versions, and words of its own.

Workflows, tasks, agents and tools are marked by `traceloop.span.kind`. Anthropic's input includes cached tokens (it
adds
them up); its streams count one output token too many.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, first, has, is_true

#: Operations as versions before the conventions called them.
_TYPES: Final = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings", "rerank": "rerank"}
_type = pl.col("llm.request.type")
_properties = "traceloop.association.properties"

_is_marked = has(
    "gen_ai.is_streaming", "llm.is_streaming", "gen_ai.openai.api_base", "gen_ai.user", "llm.usage.total_tokens",
    "traceloop.workflow.name", "traceloop.entity.path", f"{_properties}.user_id", f"{_properties}.session_id",
)  # fmt: skip
_is_call = (_is_marked & otel_genai.IS_INFERENCE) | _type.is_in(list(_TYPES))

SAID: Final = {
    **otel_genai.SAID,
    "operation": pl.coalesce(
        otel_genai.OPERATION, _type.replace_strict(_TYPES, default=None, return_dtype=pl.String)
    ),
    "total_tokens": first("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cache_read_tokens": pl.coalesce(
        otel_genai.SAID["cache_read_tokens"], attr("gen_ai.usage.cache_read_input_tokens")
    ),
    "cache_write_tokens": pl.coalesce(
        otel_genai.SAID["cache_write_tokens"], attr("gen_ai.usage.cache_creation_input_tokens")
    ),
    "streaming": pl.coalesce(is_true("gen_ai.is_streaming"), is_true("llm.is_streaming")),
    "api_base": pl.coalesce(first("gen_ai.openai.api_base").str.strip_chars_end("/"), otel_genai.SAID["api_base"]),
    "user_id": pl.coalesce(
        first(f"{_properties}.user_id", f"{_properties}.userId"), otel_genai.SAID["user_id"]
    ),
    "end_user": first("gen_ai.user", "llm.user", "enduser.id"),
    "session_id": first(
        f"{_properties}.session_id", f"{_properties}.sessionId", "session.id", "gen_ai.conversation.id",
        "resource:session.id",
    ),
    "agent": first("gen_ai.agent.name", "traceloop.workflow.name"),
}  # fmt: skip

DIALECT: Final = Dialect(
    name="traceloop",
    instrumentor=r"^(?:opentelemetry\.instrumentation\.|@traceloop/instrumentation-)([a-z0-9_]{1,30})",
    recognise=_is_call.fill_null(False)
    & otel_genai.HAS_MODEL
    & ~pl.col("traceloop.span.kind").is_in(["workflow", "task", "agent", "tool"]).fill_null(False),
    said=SAID,
)
