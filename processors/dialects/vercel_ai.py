"""Vercel's AI SDK. Until version 6, and later with its legacy integration: `ai.*` (`LEGACY`). From 7 on: the GenAI
conventions (`DIALECT`).

``ai.generateText`` and the like repeat the totals of their ``.doGenerate`` children, which are the calls, one for each
attempt. From version 7 on such parents are ``invoke_agent``; an embedding's parent is an ``embeddings`` span without
usage around others of the same kind, which the join takes for what it is: a wrapper.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, first, has, listed, milliseconds, text_list

#: What a provider's name ends with: which of its APIs is used.
_API: Final = (
    r"\.(?:chat|completion|responses|embedding|text-?[eE]mbedding|messages|language-?[mM]odel|image|rerank(?:ing)?)$"
)
_operation_id = pl.col("ai.operationId")
_metadata = "ai.telemetry.metadata"
_provider = first("gen_ai.system", "ai.model.provider")
_is_embedding = _operation_id.str.contains(r"^ai\.embed")
#: Since version 6 the SDK makes all providers' input include cached tokens, and gives the parts.
_gives_parts = has("ai.usage.inputTokenDetails.noCacheTokens", "ai.usage.inputTokenDetails.cacheReadTokens")

LEGACY_SAID: Final = {
    **otel_genai.SAID,
    "provider": _provider.str.replace(_API, ""),
    "operation": pl.when(_is_embedding)
    .then(pl.lit("embeddings"))
    .when(_provider.str.ends_with(".responses"))
    .then(pl.lit("responses"))
    .when(_operation_id.str.contains(r"^ai\.rerank"))
    .then(pl.lit("rerank"))
    .otherwise(pl.lit("chat")),
    "requested_model": first("gen_ai.request.model", "ai.model.id"),
    "model": first("gen_ai.response.model", "ai.response.model", "gen_ai.request.model", "ai.model.id"),
    "response_model": first("gen_ai.response.model", "ai.response.model"),
    "response_id": first("gen_ai.response.id", "ai.response.id"),
    "input_tokens": first(
        "ai.usage.inputTokens", "ai.usage.promptTokens", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens",
        "ai.usage.tokens",
    ),
    "output_tokens": first(
        "ai.usage.outputTokens", "ai.usage.completionTokens", "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
    ),
    "total_tokens": attr("ai.usage.totalTokens"),
    "cache_read_tokens": first("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
    "cache_write_tokens": attr("ai.usage.inputTokenDetails.cacheWriteTokens"),
    "reasoning_tokens": first("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
    "input_includes_cached": pl.when(_gives_parts | ~_provider.str.contains("anthropic|bedrock").fill_null(False)).then(
        True
    ),
    "streaming": _operation_id.str.ends_with(".doStream"),
    "ttft_ms": attr("ai.response.msToFirstChunk"),
    "finish_reasons": pl.coalesce(
        text_list(pl.col("gen_ai.response.finish_reasons")), listed(attr("ai.response.finishReason"))
    ),
    "user_id": first(
        f"{_metadata}.userId", f"{_metadata}.user_id", "user.id", "resource:user.id", "resource:user.email"
    ),
    "session_id": first(
        f"{_metadata}.sessionId", f"{_metadata}.session_id", "session.id", "resource:session.id"
    ),
    "tags": text_list(pl.col(f"{_metadata}.tags")),
    "agent": first("ai.telemetry.functionId", "resource:gen_ai.agent.name"),
}  # fmt: skip

LEGACY: Final = Dialect(
    name="vercel.ai",
    recognise=_operation_id.str.contains(r"\.do[A-Z]\w*$"),
    said=LEGACY_SAID,
    input_includes_cached=None,
)

_is_version_7 = has("gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk") | (
    pl.col("@scope") == "gen_ai"
)
_context = "ai.settings.context"

SAID: Final = {
    **otel_genai.SAID,
    "reasoning_tokens": pl.coalesce(
        otel_genai.SAID["reasoning_tokens"], attr("ai.usage.outputTokenDetails.reasoningTokens")
    ),
    "ttft_ms": milliseconds(attr("gen_ai.client.operation.time_to_first_chunk")),
    "user_id": pl.coalesce(first(f"{_context}.userId", f"{_context}.user_id"), otel_genai.SAID["user_id"]),
    "session_id": first(f"{_context}.sessionId", f"{_context}.session_id", "session.id", "resource:session.id"),
}

DIALECT: Final = Dialect(
    name="vercel.ai.otel",
    recognise=_is_version_7.fill_null(False)
    & has("gen_ai.provider.name")
    & otel_genai.HAS_MODEL
    & otel_genai.IS_INFERENCE,
    said=SAID,
)
