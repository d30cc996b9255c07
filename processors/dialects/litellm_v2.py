"""LiteLLM's second-generation callback (``LITELLM_OTEL_V2=true``): one CLIENT span a call, and a gateway's server span.

On the proxy `gen_ai.request.model` is the alias; `litellm.provider.model` is what was dispatched. A refused request has
no call span: the error is on the gateway's SERVER span, which says so by never having selected a deployment.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import litellm
from processors.dialects.dialect import Dialect
from processors.dialects.litellm import FAILED
from processors.dialects.words import address, attr, first, has, is_true, milliseconds, says, text_list

_is_call = (
    has("litellm.call_type")
    & has("litellm.call_id")
    & litellm.billable("litellm.call_type", "gen_ai.usage.total_tokens", "litellm.cost.total")
)
_is_refusal = (
    (pl.col("@kind") == 2)
    & (pl.col("@status") == 2)
    & has("gen_ai.request.model")
    & has("litellm.api_key.hash", "litellm.provider.error.code")
    & ~has("litellm.call_type", "event_time:litellm.request.deployment_selected")
)

_sent_model, _requested = attr("litellm.provider.model"), attr("gen_ai.request.model")
_end_user = first("litellm.metadata.user_api_key_end_user_id", "litellm.end_user.id")

DERIVE: Final = {
    "~proxied": says("litellm.api_key.hash", "litellm.request.route", "litellm.metadata.user_api_key_user_id"),
    "~failed": pl.col("@status") == 2,
}

SAID: Final = {
    **litellm.identity(),
    "role": litellm.role(~has("litellm.call_type")),
    "environment": litellm.ENVIRONMENT,
    **litellm.attribution(
        organization=attr("litellm.metadata.user_api_key_org_alias"),
        organization_id=attr("litellm.metadata.user_api_key_org_id"),
        team=attr("litellm.team.alias"),
        team_id=attr("litellm.team.id"),
        project=attr("litellm.metadata.user_api_key_project_alias"),
        project_id=attr("litellm.metadata.user_api_key_project_id"),
        user_id=pl.coalesce(
            litellm.owner("litellm.metadata.user_api_key_user_id", "litellm.metadata.user_api_key_user_email"),
            litellm.app_metadata("user_id"),
        ),
        session_id=pl.coalesce(
            attr("gen_ai.conversation.id"), litellm.app_metadata("session_id"), litellm.session_in(_end_user)
        ),
        host=attr("litellm.metadata.requester_ip_address"),
    ),
    "end_user": _end_user,
    "api_key_alias": attr("litellm.metadata.user_api_key_alias"),
    "api_key_hash": attr("litellm.api_key.hash"),
    "user_agent": first("litellm.metadata.user_agent", "http.user_agent"),
    "tags": litellm.tags(pl.lit(None, pl.String)),
    "provider": pl.coalesce(
        first("gen_ai.provider.name", "gen_ai.system", "litellm.provider.error.llm_provider"),
        litellm.provider_prefix(_sent_model),
    ),
    "operation": attr("litellm.call_type"),
    "requested_model": _requested,
    "model": litellm.without_provider(_sent_model),
    "response_model": litellm.given_model(_requested),
    "api_base": address("server.address", "server.port"),
    "streaming": is_true("litellm.request.streaming").fill_null(False),  # sent only when it streams
    "cache_hit": is_true("litellm.cache_hit") & ~FAILED,
    "error_code": first("litellm.provider.error.code", "http.response.status_code", "http.status_code"),
    "finish_reasons": text_list(pl.col("gen_ai.response.finish_reasons")),
    "input_tokens": first("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": first("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": attr("gen_ai.usage.total_tokens"),
    "cache_read_tokens": attr("gen_ai.usage.cache_read.input_tokens"),
    "cache_write_tokens": attr("gen_ai.usage.cache_creation.input_tokens"),
    "reasoning_tokens": first("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
    "ttft_ms": milliseconds(attr("gen_ai.response.time_to_first_chunk")),
    "cost_reported_usd": pl.coalesce(
        litellm.saved_by_cache(is_true("litellm.cache_hit"), "litellm.saved_cache_cost"),
        pl.when(~FAILED).then(attr("litellm.cost.total")),
    ),
}

DIALECT: Final = Dialect(name="litellm.v2", recognise=_is_call | _is_refusal, derive=DERIVE, said=SAID, rank=10)
