"""OpenLIT: the GenAI conventions with `telemetry.sdk.name=openlit`, invented defaults, and a cost that may be 0.

A failure before the first answer leaves a span with nothing but its name and the exception. The provider of a framework
(LiteLLM, LangChain) is the framework's name, which is no provider. Time to first token of a plain call is its duration.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, first, has, is_true, milliseconds, positive

#: Names OpenLIT gives that are not of a provider.
_FRAMEWORKS: Final = (
    "litellm", "langchain", "langgraph", "llama_index", "llamaindex", "crewai", "haystack", "agno", "pydantic_ai",
    "dynamiq", "openai_agents", "mem0", "controlflow", "julep", "phidata", "swarmzero",
)  # fmt: skip
_NAME: Final = r"^(chat|text_completion|embeddings|responses) (\S+)$"

_is_openlit = (pl.col("telemetry.sdk.name") == "openlit") | (pl.col("resource:telemetry.sdk.name") == "openlit")
_in_scope = pl.col("@scope").str.starts_with("openlit.")
_is_bare = (
    _in_scope
    & (pl.col("@status") == 2)
    & has("event:exception:exception.type")
    & pl.col("@name").str.contains(_NAME)
    & ~has("gen_ai.operation.name")
)
_is_call = otel_genai.HAS_MODEL & otel_genai.IS_INFERENCE

_provider = first("gen_ai.provider.name", "gen_ai.system")
_from_scope = pl.col("@scope").str.extract(r"^openlit\.instrumentation\.(\w+)$", 1)
_named = pl.coalesce(_provider, pl.when(_is_bare).then(_from_scope))
_name_of_model = pl.when(_is_bare).then(pl.col("@name").str.extract(_NAME, 2))
_is_anthropic = (_provider == "anthropic") | (pl.col("@scope") == "openlit.instrumentation.anthropic")

SAID: Final = {
    **otel_genai.SAID,
    "provider": pl.when(~_named.is_in(_FRAMEWORKS)).then(_named),
    "operation": pl.coalesce(otel_genai.OPERATION, pl.when(_is_bare).then(pl.col("@name").str.extract(_NAME, 1))),
    "requested_model": pl.coalesce(attr("gen_ai.request.model"), _name_of_model),
    "model": pl.coalesce(otel_genai.SAID["model"], _name_of_model),
    "total_tokens": attr("gen_ai.client.token.usage"),
    "cost_reported_usd": positive("gen_ai.usage.cost"),
    "ttft_ms": pl.when(is_true("gen_ai.request.stream")).then(milliseconds(attr("gen_ai.server.time_to_first_token"))),
    #: Captured: 21 input beside 1500 read and 300 written. What its Bedrock instrumentation means is not known.
    "input_includes_cached": pl.when(_is_anthropic)
    .then(False)
    .when(~(_provider == "aws.bedrock").fill_null(False))
    .then(True),
}

DIALECT: Final = Dialect(
    name="openlit",
    instrumentor=r"^openlit\.instrumentation\.([a-z0-9_]{1,30})",
    recognise=(_is_openlit.fill_null(False) | _in_scope.fill_null(False)) & (_is_call.fill_null(False) | _is_bare),
    said=SAID,
    input_includes_cached=None,
)
