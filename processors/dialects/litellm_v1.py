"""LiteLLM's `otel` callback as it is by default: one ``litellm_request`` span a call.

Nested values are Python repr (`metadata.*`), `hidden_params` is JSON, `None` is ``''``. Tokens are LiteLLM's own, input
always includes cached tokens. The span may be called anything (`metadata.generation_name`) and may be a span of the
application or of FastAPI (`is_borrowed`), so only attributes count.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import litellm
from processors.dialects.dialect import Dialect
from processors.dialects.litellm import FAILED, PROXIED
from processors.dialects.words import (
    attr,
    decimal_at,
    first,
    has,
    is_true,
    json_at,
    number_at,
    python_repr,
    said,
    says,
    text_at,
    text_list,
)

#: Every call of the callback carries these, whatever its flags.
IS_V1: Final = (
    has("llm.request.type")
    & has("hidden_params", "litellm.call_id", "metadata.user_api_key_hash")
    & litellm.billable("llm.request.type", "gen_ai.usage.input_tokens", "gen_ai.cost.total_cost")
)

_hidden = pl.col("hidden_params")
_requester = pl.col("~requester")
_answered = _hidden.str.contains(r'"additional_headers":\s*\{').fill_null(False)
_sent_model, _request_model = attr("litellm.provider.model"), attr("gen_ai.request.model")
_requested = first("litellm.model_group", "litellm.provider.model", "gen_ai.request.model")
_end_user = first("llm.user", "metadata.user_api_key_end_user_id", "litellm.metadata.user_api_key_end_user_id")
_usage = pl.col("metadata.usage_object")
#: Before 1.109 only the key of the entry gives a cache hit away.
_has_cache_key = pl.when(_hidden.is_not_null()).then(text_at(_hidden, "cache_key").is_not_null())
_hit = pl.coalesce(is_true("litellm.cache_hit"), _has_cache_key)

#: The client's headers are half of the text and of no use here.
_HEADERS: Final = r", 'headers': \{[^{}]*\}"

DERIVE: Final = {
    "~proxied": says("metadata.user_api_key_hash", "metadata.user_api_key_request_route"),
    "~failed": litellm.failed("gen_ai.usage.input_tokens"),
    "~requester": python_repr(pl.col("metadata.requester_metadata").str.replace(_HEADERS, "")),
}

#: `gen_ai.request.model` is the dispatched model, except on what the gateway refused before it chose one.
_model = (
    pl.when((_sent_model == _request_model) | _sent_model.str.ends_with("/" + _request_model))
    .then(_request_model)
    .otherwise(pl.coalesce(litellm.without_provider(_sent_model), _request_model))
)
_app_user = pl.coalesce(json_at(_requester, "$.user_id"), litellm.app_metadata("user_id"))

SAID: Final = {
    **litellm.identity(),
    "role": litellm.role(litellm.refused("llm.request.type", _answered)),
    "environment": litellm.ENVIRONMENT,
    **litellm.attribution(
        organization=attr("metadata.user_api_key_org_alias"),
        organization_id=attr("metadata.user_api_key_org_id"),
        team=first("metadata.user_api_key_team_alias", "metadata.team_alias"),
        team_id=first("metadata.user_api_key_team_id", "metadata.team_id"),
        project=attr("metadata.user_api_key_project_alias"),
        project_id=attr("metadata.user_api_key_project_id"),
        user_id=pl.coalesce(
            litellm.owner("metadata.user_api_key_user_id", "metadata.user_api_key_user_email"),
            pl.when(_app_user != _end_user.fill_null("")).then(_app_user),
        ),
        session_id=pl.coalesce(
            json_at(_requester, "$.session_id"), litellm.app_metadata("session_id"), litellm.session_in(_end_user)
        ),
        host=attr("metadata.requester_ip_address"),
    ),
    "end_user": _end_user,
    "api_key_alias": attr("metadata.user_api_key_alias"),
    "api_key_hash": attr("metadata.user_api_key_hash"),
    "user_agent": attr("metadata.user_agent"),
    "tags": litellm.tags(json_at(_requester, "$.tags")),
    "provider": pl.coalesce(
        litellm.provider("gen_ai.system", "error.llm_provider"),
        litellm.provider_prefix(_sent_model),
        litellm.provider_prefix(text_at(_hidden, "litellm_model_name")),
    ),
    "operation": attr("llm.request.type"),
    "requested_model": _requested,
    "model": _model,
    "response_model": litellm.given_model(_requested),
    "deployment_id": text_at(_hidden, "model_id"),
    "api_base": text_at(_hidden, "api_base").str.strip_chars_end("/"),
    "service_tier": first("gen_ai.openai.response.service_tier"),
    "streaming": is_true("llm.is_streaming"),
    "cache_hit": _hit & ~FAILED,
    "guardrails": text_list(pl.col("metadata.applied_guardrails")),
    "error_code": pl.coalesce(said(pl.col("error.code").str.extract(r"^(\d{3})$")), attr("http.response.status_code")),
    "finish_reasons": text_list(pl.col("gen_ai.response.finish_reasons")),
    "input_tokens": pl.coalesce(
        first("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"), number_at(_usage, "prompt_tokens")
    ),
    "output_tokens": pl.coalesce(
        first("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"), number_at(_usage, "completion_tokens")
    ),
    "total_tokens": attr("gen_ai.usage.total_tokens"),
    **litellm.usage(_usage),
    "gateway_overhead_ms": pl.when(PROXIED).then(decimal_at(_hidden, "litellm_overhead_time_ms")),
    "cost_reported_usd": pl.coalesce(
        litellm.saved_by_cache(_hit, "litellm.saved_cache_cost"),
        attr("gen_ai.cost.total_cost"),
        pl.when(~FAILED).then(decimal_at(_hidden, "response_cost")),
    ),
}

DIALECT: Final = Dialect(name="litellm.v1", recognise=IS_V1, derive=DERIVE, said=SAID, rank=10)
