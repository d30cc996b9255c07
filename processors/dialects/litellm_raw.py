"""LiteLLM v1's second span, ``raw_gen_ai_request``: request and answer as the provider speaks (``llm.<provider>.*``).

It repeats the call of its parent span, so it is believed last. It counts when the parent is lost: custom authentication
without a parent span, or several calls inside one span of the application, which overwrite each other there.
`usage` is Python repr in the provider's own shape. Only chat completions carry the id that LiteLLM reports too; any
other is joined to its parent span.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.contract import Role
from processors.dialects import litellm
from processors.dialects.dialect import Dialect
from processors.dialects.litellm import PROXIED
from processors.dialects.words import attr, has, number_at, says

#: ``llm.request.*`` and the like are other producers' words.
_NOT_PROVIDERS: Final = ("request", "response", "usage", "token_count", "invocation_parameters")
_parts = ("llm.*.usage", "llm.*.messages", "llm.*.input", "llm.*.stringified_raw_response")
_provider = pl.coalesce(f"{part}@" for part in _parts)
_usage = pl.col("llm.*.usage")
_input = pl.coalesce(number_at(_usage, "prompt_tokens"), number_at(_usage, "input_tokens"))
#: Anthropic counts cached tokens beside `input_tokens`; LiteLLM's and OpenAI's `prompt_tokens` include them.
_beside = number_at(_usage, "prompt_tokens").is_null() & number_at(_usage, "cache_read_input_tokens").is_not_null()
#: LiteLLM gives other answers an id of its own: a new one, or (Responses API) the provider's, wrapped or encrypted.
_same_id = pl.col("llm.*.object").is_in(["chat.completion", "text_completion"]) | (
    (_provider == "None") & ~has("llm.*.object")
)

DERIVE: Final = {
    "~proxied": says("metadata.user_api_key_team_id", "metadata.user_api_key_team_alias"),
}

SAID: Final = {
    "role": pl.when(_input.is_not_null()).then(pl.lit(Role.CALL.value)).otherwise(pl.lit(Role.SUPPORT.value)),
    "gateway": pl.when(PROXIED).then(pl.lit("litellm")).otherwise(pl.lit("")),
    "caller_is_gateway": PROXIED,
    "environment": litellm.ENVIRONMENT,
    **litellm.attribution(
        team=attr("metadata.user_api_key_team_alias"),
        team_id=attr("metadata.user_api_key_team_id"),
    ),
    "end_user": attr("llm.*.user"),
    "provider": pl.when(_provider != "None").then(_provider),
    "operation": pl.coalesce(attr("llm.*.object"), pl.when(has("llm.*.messages")).then(pl.lit("chat"))),
    "model": attr("llm.*.model"),
    "response_model": attr("llm.*.model"),
    "requested_model": pl.lit(None, pl.String),
    "response_id": pl.when(_same_id).then(attr("llm.*.id")),
    "service_tier": attr("llm.*.service_tier"),
    "input_tokens": _input,
    "output_tokens": pl.coalesce(number_at(_usage, "completion_tokens"), number_at(_usage, "output_tokens")),
    "total_tokens": number_at(_usage, "total_tokens"),
    "input_includes_cached": ~_beside,
    **litellm.usage(_usage),
}

DIALECT: Final = Dialect(
    name="litellm.raw",
    recognise=has(*_parts) & ~_provider.is_in(_NOT_PROVIDERS),
    derive=DERIVE,
    said=SAID,
    rank=60,
    input_includes_cached=None,
)
