"""Tokentide's own callback for LiteLLM (`deploy/litellm/tokentide_callback.py`): one log record per attempt.

It says what LiteLLM itself logs of a call (`StandardLoggingPayload`), so it is believed before LiteLLM's spans. On the
proxy all attempts of a request have one call id; the spans know the first failed one only, so the later ones are named
by their place. `litellm.request_id` links attempts wherever they were made.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.contract import Role
from processors.dialects import litellm
from processors.dialects.dialect import Dialect
from processors.dialects.litellm import PROXIED
from processors.dialects.litellm_names import GAVE_UP, REFUSALS
from processors.dialects.names import error_class
from processors.dialects.words import attr, first, has, is_true, milliseconds, says, text_list

_is_call = (
    has("litellm.callback.sequence")
    & has("litellm.call_type")
    & litellm.billable("litellm.call_type", "gen_ai.usage.total_tokens", "litellm.cost.total")
)

_call, _request = attr("litellm.call_id"), attr("litellm.request_id")
_attempt = pl.col("litellm.attempt").cast(pl.Int64, strict=False)
_later_of_same = (_attempt > 1).fill_null(False) & (_call == _request).fill_null(False)
_failed = pl.col("~failed")
_cause = error_class(attr("error.type"))
_passed_through = pl.col("litellm.call_type").fill_null("") == "pass_through_endpoint"
#: The gateway's own error, or one that no provider is named in before a deployment was chosen.
_unsent = ~says("litellm.error.llm_provider") & ~says("litellm.api_base") & ~_cause.is_in(GAVE_UP).fill_null(False)
_refused = _failed & ~_passed_through & (_cause.is_in(REFUSALS).fill_null(False) | (PROXIED & _unsent))

#: LiteLLM's own callback, beside ours, tells a refusal too; refusals are not joined.
_role = (
    pl.when(_refused & is_true("litellm.beside_otel").fill_null(False))
    .then(pl.lit(Role.SUPPORT.value))
    .otherwise(litellm.role(_refused))
)

_requested = first("litellm.model_group", "gen_ai.request.model")
_end_user = attr("litellm.metadata.user_api_key_end_user_id")
_tags = text_list(pl.col("litellm.request_tags"))
#: LiteLLM adds one for the client's software, which has a column of its own.
_own_tags = _tags.list.filter(~pl.element().str.starts_with("User-Agent: "))

SAID: Final = {
    "role": _role,
    "status": pl.when(_failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
    "gateway": pl.when(PROXIED).then(pl.lit("litellm")).otherwise(pl.lit("")),
    "caller_is_gateway": PROXIED,
    "response_id": attr("gen_ai.response.id"),
    "call_id": (
        pl.when(_failed & _later_of_same)
        .then(pl.concat_str(_call, pl.lit("/failed/"), "litellm.attempt"))
        .when(_failed)
        .then(_call + "/failed")
        .otherwise(_call)
    ),
    "request_span": "litellm/" + _request,
    "duration_ms": attr("litellm.duration_ms"),
    "ttft_ms": milliseconds(attr("gen_ai.response.time_to_first_chunk")),
    "gateway_overhead_ms": pl.when(PROXIED).then(attr("litellm.overhead_ms")),
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
        session_id=pl.coalesce(attr("gen_ai.conversation.id"), litellm.session_in(_end_user)),
        host=attr("litellm.metadata.requester_ip_address"),
    ),
    "end_user": _end_user,
    "api_key_alias": attr("litellm.metadata.user_api_key_alias"),
    "api_key_hash": attr("litellm.api_key.hash"),
    "user_agent": attr("litellm.metadata.user_agent"),
    "tags": _own_tags,
    "provider": first("gen_ai.provider.name", "litellm.error.llm_provider"),
    "operation": first("gen_ai.operation.name", "litellm.call_type"),
    "requested_model": _requested,
    "model": litellm.without_provider(attr("gen_ai.request.model")),
    "response_model": litellm.given_model(_requested),
    "deployment_id": attr("litellm.deployment.id"),
    "api_base": attr("litellm.api_base").str.strip_chars_end("/"),
    "service_tier": first("gen_ai.response.service_tier", "litellm.request.service_tier"),
    "streaming": is_true("gen_ai.request.stream"),
    "cache_hit": is_true("litellm.cache_hit").fill_null(False) & ~_failed,
    "guardrails": text_list(pl.col("litellm.guardrails")),
    "error_type": attr("error.type"),
    "error_code": first("http.response.status_code", "litellm.error.code"),
    "finish_reasons": text_list(pl.col("gen_ai.response.finish_reasons")),
    "input_tokens": attr("gen_ai.usage.input_tokens"),
    "output_tokens": attr("gen_ai.usage.output_tokens"),
    "total_tokens": attr("gen_ai.usage.total_tokens"),
    "cache_read_tokens": attr("gen_ai.usage.cache_read.input_tokens"),
    "cache_write_tokens": attr("gen_ai.usage.cache_creation.input_tokens"),
    "cache_write_1h_tokens": attr("litellm.usage.cache_creation_1h_tokens"),
    "reasoning_tokens": attr("gen_ai.usage.reasoning.output_tokens"),
    "audio_input_tokens": attr("litellm.usage.input_audio_tokens"),
    "audio_output_tokens": attr("litellm.usage.output_audio_tokens"),
    "image_tokens": attr("litellm.usage.image_tokens"),
    "cost_reported_usd": pl.coalesce(
        litellm.saved_by_cache(is_true("litellm.cache_hit"), "litellm.saved_cache_cost"),
        pl.when(~_failed).then(attr("litellm.cost.total")),
    ),
}

EVENT: Final = Dialect(
    name="litellm.callback",
    signal=Signal.LOGS,
    recognise=_is_call,
    derive={"~proxied": is_true("litellm.proxied").fill_null(False), "~failed": has("error.type")},
    said=SAID,
    rank=5,
)
