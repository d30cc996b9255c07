"""OpenInference (Arize): flattened `llm.*` attributes on spans of kind LLM or EMBEDDING.

Chains, agents and tools have kinds of their own and are no calls; this covers its agent frameworks, OpenAI Agents among
them. There is no response id attribute: instrumentors of a provider's SDK put the whole answer into `output.value`, and
its id with it. Others put only the answer's text there, which is somebody else's to write, so that the id is read from
JSON that says it is JSON.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import moment
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, containing, first, is_true, json_at, listed, text_list

_LONGEST_ANSWER: Final = 1_000_000  # characters we are willing to parse for an id

_kind = pl.col("openinference.span.kind").str.to_uppercase()
_asks = _kind == "LLM"
_parameters = pl.col("~parameters")
_answer = pl.col("~answer")

#: The first attribute of most answers; the others are parsed.
_first_id = _answer.str.extract(r'^\{\s*"id":\s*"([^"\\]{1,200})"', 1)
_small = _answer.str.len_bytes() <= _LONGEST_ANSWER
_other_id = json_at(pl.when(_first_id.is_null() & _small).then(containing(_answer, '"id"')), "$.id")

_metadata = pl.coalesce("~metadata", "~own_metadata")
_requested = pl.coalesce(
    attr("llm.request.model_name"), json_at(_parameters, "$.model"), first("llm.model_name", "embedding.model_name")
)
_answered = first("llm.response.model_name", "llm.model_name", "embedding.model_name")
_is_anthropic = (pl.col("llm.system") == "anthropic").fill_null(False)
_user = json_at(_metadata, "$.user_id")
_first_token = pl.col("event_time:First Token Stream Event").cast(pl.UInt64, strict=False)

DERIVE: Final = {
    "~parameters": first("llm.invocation_parameters", "embedding.invocation_parameters"),
    "~answer": pl.when(_asks & pl.col("output.mime_type").str.contains("json")).then(pl.col("output.value")),
    "~metadata": json_at(containing(pl.col("llm.invocation_parameters"), '"metadata"'), "$.metadata"),
    "~own_metadata": attr("metadata"),
}

SAID: Final = {
    "provider": first("llm.provider", "llm.system"),
    "operation": pl.when(~_asks)
    .then(pl.lit("embeddings"))
    .when(_first_id.str.starts_with("resp_") | pl.col("@name").str.to_lowercase().is_in(["response", "responses"]))
    .then(pl.lit("responses"))
    .otherwise(pl.lit("chat")),
    "requested_model": _requested,
    "model": pl.coalesce(_answered, _requested),
    "response_model": pl.when((pl.col("@status") != 2) & (_answered != _requested)).then(_answered),
    "response_id": pl.coalesce(_first_id, _other_id),
    "input_tokens": attr("llm.token_count.prompt"),
    "output_tokens": attr("llm.token_count.completion"),
    "total_tokens": attr("llm.token_count.total"),
    "cache_read_tokens": attr("llm.token_count.prompt_details.cache_read"),
    "cache_write_tokens": attr("llm.token_count.prompt_details.cache_write"),
    "reasoning_tokens": attr("llm.token_count.completion_details.reasoning"),
    "audio_input_tokens": attr("llm.token_count.prompt_details.audio"),
    "audio_output_tokens": attr("llm.token_count.completion_details.audio"),
    "cost_reported_usd": attr("llm.cost.total"),
    "streaming": pl.coalesce(
        pl.when(_parameters.str.contains(r'"stream":\s*true')).then(True),
        pl.when(_first_token.is_not_null()).then(True),
        is_true("llm.is_streaming"),
    ),
    "ttft_ms": (moment(_first_token) - moment(pl.col("@start"))).dt.total_nanoseconds() / 1e6,
    "finish_reasons": listed(attr("llm.finish_reason")),
    "api_base": pl.coalesce(json_at(_parameters, "$.api_base"), json_at(_parameters, "$.base_url")).str.strip_chars_end(
        "/"
    ),
    "error_code": pl.coalesce(
        attr("http.response.status_code"),
        pl.col("event:exception:exception.message").str.extract(r"Error code: (\d{3})\b", 1),
    ),
    "project": first("resource:project", "resource:project.name", "resource:openinference.project.name"),
    "user_id": pl.coalesce(
        attr("user.id"), pl.when(~_is_anthropic).then(_user), first("resource:user.id", "resource:user.email")
    ),
    "end_user": pl.coalesce(json_at(containing(_parameters, '"user"'), "$.user"), pl.when(_is_anthropic).then(_user)),
    "session_id": pl.coalesce(first("session.id"), json_at(_metadata, "$.session_id"), attr("resource:session.id")),
    "agent": first("agent.name", "gen_ai.agent.name"),
    "tags": pl.coalesce(text_list(pl.col("tag.tags")), text_list(json_at(_metadata, "$.tags"))),
}

DIALECT: Final = Dialect(
    name="openinference",
    instrumentor=r"^(?:openinference\.instrumentation\.|@arizeai/openinference-instrumentation-)([a-z0-9_]{1,30})",
    recognise=_kind.is_in(["LLM", "EMBEDDING"]),
    derive=DERIVE,
    said=SAID,
)
