"""OpenTelemetry's GenAI semantic conventions, old and new names: one CLIENT span per call.

The dialect of whoever follows the conventions and has no dialect of its own.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects.dialect import Dialect
from processors.dialects.words import address, first, has, is_true, milliseconds, text_list

#: Operations that ask a model; whatever else carries usage (agents, workflows, tools) repeats the totals of these.
INFERENCE: Final = (
    "chat", "text_completion", "embeddings", "generate_content", "responses", "completion", "embedding",
    "image_generation", "rerank", "transcription", "speech",
)  # fmt: skip

SAID: Final = {
    "provider": first("gen_ai.provider.name", "gen_ai.system"),
    "operation": first("gen_ai.operation.name"),
    "model": first("gen_ai.response.model", "gen_ai.request.model"),
    "input_tokens": first("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": first("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": first("gen_ai.usage.total_tokens"),
    "cache_read_tokens": first("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.details.cache_read_tokens"),
    "cache_write_tokens": first("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    "reasoning_tokens": first(
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens"
    ),
    "streaming": is_true("gen_ai.request.stream"),
    "ttft_ms": milliseconds(first("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")),
    "finish_reasons": text_list(pl.col("gen_ai.response.finish_reasons")),
    "service_tier": first(
        "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier"
    ),
    "api_base": address("server.address", "server.port"),
    "end_user": first("gen_ai.user", "gen_ai.request.user", "enduser.id"),
}

DIALECT: Final = Dialect(
    name="otel.genai",
    recognise=has("gen_ai.provider.name", "gen_ai.system")
    & has("gen_ai.request.model", "gen_ai.response.model")
    & pl.col("gen_ai.operation.name").is_in(INFERENCE),
    said=SAID,
)
