"""A row of LiteLLM's spend logs (`LiteLLM_SpendLogs`), as `tokentide import litellm` sends it: one log record a row.

Facts used here, read in litellm 1.106.2 (`proxy/spend_tracking/spend_tracking_utils.py`, `get_logging_payload`):

- `request_id` is the answer's id, else the id of the standard logging payload, else the call id: what the proxy's span
  calls `gen_ai.response.id`. On a cache hit ``_cache_hit<seconds>`` is appended to it, and `spend` is 0.
- A request that failed for good has one row, whose `request_id` is the call id unless something was answered.
- `prompt_tokens` includes cached tokens, as everywhere in LiteLLM.

What is said of the caller carries the names of the proxy's spans (``metadata.user_api_key_*``), so that the same
policies reach it.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.contract import Group
from processors.dialects import litellm
from processors.dialects.dialect import Dialect
from processors.dialects.litellm_names import GAVE_UP, REFUSALS
from processors.dialects.names import error_class
from processors.dialects.words import attr, first, is_true, text_list

EVENT_NAME: Final = "litellm.spend_log"
#: Before the names of the row's own columns.
PREFIX: Final = "litellm.spend_log."


#: The application of calls that only the books tell of. It does not fall silent: an import may be the only one.
APPLICATION: Final = "litellm (imported)"


def column(name: str) -> str:
    """The attribute that carries a column of the row."""
    return PREFIX + name


_request_id, _call_id = attr(column("request_id")), attr(column("call_id"))
_spend, _status = attr(column("spend")), attr(column("status"))
_model = attr(column("model"))
_usage = pl.col(column("usage_object"))
_failed = (_status == "failure").fill_null(False)
_hit = is_true(column("cache_hit")).fill_null(False)
_answer_id = _request_id.str.replace(r"_cache_hit[0-9.]+$", "")
_cause = error_class(attr(column("error_type")))
_from_provider = attr(column("error_provider"))
#: The same rule as for the proxy's spans (`litellm.refused`): a request no provider was asked for is no call.
_refused = _failed & (
    _cause.is_in(REFUSALS).fill_null(False)
    | (_from_provider == "litellm_proxy").fill_null(False)
    | (_from_provider.is_null() & ~_cause.is_in(GAVE_UP).fill_null(False))
)
_end_user = attr("metadata.user_api_key_end_user_id")
_nobody = pl.lit(None, pl.String)

SAID: Final = {
    "gateway": pl.lit("litellm"),
    "caller_is_gateway": pl.lit(True),
    "response_id": pl.when(~(_failed & (_answer_id == _call_id).fill_null(False))).then(_answer_id),
    "call_id": pl.when(_failed)
    .then(pl.coalesce(_call_id, _answer_id) + "/failed")
    .otherwise(pl.coalesce(_call_id, pl.when(_hit).then(_request_id))),
    "status": pl.when(_failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
    "error_type": attr(column("error_type")),
    "error_code": attr(column("error_code")),
    "application": pl.lit(APPLICATION),
    "environment": _nobody,
    "agent": _nobody,
    "host": attr("metadata.requester_ip_address"),
    "organization": attr("metadata.user_api_key_org_alias"),
    "organization_id": attr("metadata.user_api_key_org_id"),
    "team": attr("metadata.user_api_key_team_alias"),
    "team_id": attr("metadata.user_api_key_team_id"),
    "project": attr("metadata.user_api_key_project_alias"),
    "project_id": attr("metadata.user_api_key_project_id"),
    "user_id": litellm.owner("metadata.user_api_key_user_id"),
    "session_id": pl.coalesce(attr("session.id"), litellm.session_in(_end_user)),
    "end_user": _end_user,
    "api_key_alias": attr("metadata.user_api_key_alias"),
    "api_key_hash": attr("metadata.user_api_key_hash"),
    "user_agent": attr("metadata.user_agent"),
    "tags": text_list(pl.col(column("request_tags"))),
    "guardrails": text_list(pl.col("metadata.applied_guardrails")),
    "provider": pl.coalesce(litellm.provider(column("provider")), litellm.provider_prefix(_model)),
    "operation": attr(column("call_type")),
    "requested_model": first(column("model_group"), column("model")),
    "model": litellm.without_provider(_model),
    "response_model": _nobody,
    "deployment_id": attr(column("model_id")),
    "api_base": attr(column("api_base")).str.strip_chars_end("/"),
    "cache_hit": _hit & ~_failed,
    "input_tokens": attr(column("prompt_tokens")),
    "output_tokens": attr(column("completion_tokens")),
    "total_tokens": attr(column("total_tokens")),
    **litellm.usage(_usage),
    "duration_ms": attr(column("duration_ms")),
    "ttft_ms": attr(column("ttft_ms")),
    "gateway_overhead_ms": attr(column("overhead_ms")),
    # A hit is booked as 0: what it saved, the spans know.
    "cost_reported_usd": pl.when(~(_hit & (_spend.cast(pl.Float64, strict=False) == 0))).then(_spend),
}

DIALECT: Final = Dialect(
    name="litellm.spend_log",
    signal=Signal.LOGS,
    recognise=(pl.col("@event_name") == EVENT_NAME)
    & ~_refused
    & litellm.billable(column("call_type"), column("total_tokens"), column("spend")),
    said=SAID,
    # Behind the span of the same call, which knows more; but this is the amount the gateway booked.
    rank=12,
    ranks={Group.COST: 9},
)
