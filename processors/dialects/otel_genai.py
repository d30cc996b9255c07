"""OpenTelemetry's GenAI semantic conventions, old and new names: one CLIENT span a call, and the event that repeats it.

The dialect of whoever follows the conventions and has no dialect of its own; others start from its words.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.contract import Group
from processors.dialects.dialect import Dialect
from processors.dialects.words import address, attr, first, has, is_true, milliseconds, positive, says, text_list

#: Operations that ask a model; whatever else carries usage (agents, workflows, tools) repeats the totals of these.
INFERENCE: Final = (
    "chat", "text_completion", "embeddings", "generate_content", "responses", "completion", "embedding",
    "image_generation", "rerank", "transcription", "speech",
)  # fmt: skip

#: Most libraries call the Responses API a chat; its answers are named ``resp_...``.
OPERATION: Final = (
    pl.when((pl.col("openai.api.type") == "responses") | pl.col("gen_ai.response.id").str.starts_with("resp_"))
    .then(pl.lit("responses"))
    .otherwise(attr("gen_ai.operation.name"))
)

SAID: Final = {
    "provider": first("gen_ai.provider.name", "gen_ai.system"),
    "operation": OPERATION,
    "model": first("gen_ai.response.model", "gen_ai.request.model"),
    "input_tokens": first("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": first("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": attr("gen_ai.usage.total_tokens"),
    "cache_read_tokens": first("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.details.cache_read_tokens"),
    "cache_write_tokens": first(
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "cache_write_1h_tokens": attr("gen_ai.usage.details.ephemeral_1h_input_tokens"),
    "reasoning_tokens": first(
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens"
    ),
    "audio_input_tokens": first("gen_ai.usage.details.input_audio_tokens", "gen_ai.usage.details.audio_tokens"),
    "audio_output_tokens": attr("gen_ai.usage.details.output_audio_tokens"),
    "cost_reported_usd": pl.coalesce(attr("operation.cost"), positive("gen_ai.usage.cost")),
    "streaming": is_true("gen_ai.request.stream"),
    "ttft_ms": milliseconds(first("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")),
    "finish_reasons": text_list(pl.col("gen_ai.response.finish_reasons")),
    "service_tier": first(
        "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier"
    ),
    "api_base": address("server.address", "server.port"),
    "user_id": first("user.id", "user.email", "resource:user.id", "resource:user.email"),
    "end_user": first("gen_ai.user", "gen_ai.request.user", "enduser.id"),
}

IS_INFERENCE: Final = pl.col("gen_ai.operation.name").is_in(INFERENCE)
HAS_MODEL: Final = has("gen_ai.request.model", "gen_ai.response.model")

DIALECT: Final = Dialect(
    name="otel.genai",
    instrumentor=r"^opentelemetry\.instrumentation\.(?:genai\.)?([a-z0-9_]{1,30})",
    recognise=has("gen_ai.provider.name", "gen_ai.system") & HAS_MODEL & IS_INFERENCE,
    said=SAID,
)

#: Its name is the record's own, an attribute, or (LiteLLM) an attribute spelled otherwise.
EVENT_NAMES: Final = ("@event_name", "event.name", "event_name")
IS_EVENT: Final = pl.any_horizontal(
    [pl.col(name) == "gen_ai.client.inference.operation.details" for name in EVENT_NAMES]
)
#: Gemini CLI tells every call in these words too, with less in them; its own dialect knows it.
_is_gemini = has("installation.id") | (pl.col("resource:service.name") == "gemini-cli").fill_null(False)

#: OpenLIT's Anthropic instrumentation counts cached tokens beside the input, and says who it is only by its scope.
_beside = pl.col("@scope") == "openlit.instrumentation.anthropic"

#: The event of a call's own span: it carries the span's ids. LiteLLM's names no model and says nothing new.
EVENT: Final = Dialect(
    name="otel.genai.event",
    signal=Signal.LOGS,
    recognise=IS_EVENT & HAS_MODEL & IS_INFERENCE.fill_null(True) & ~_is_gemini,
    said={
        **SAID,
        "status": pl.when(says("error.type")).then(pl.lit("error")).otherwise(pl.lit("ok")),
        "input_includes_cached": ~_beside.fill_null(False),
    },
    rank=40,
    ranks={Group.TIMING: 80},
)
