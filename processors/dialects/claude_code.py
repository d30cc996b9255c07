"""Claude Code: one log event for each request to the API, and (beta) a span of it.

Numbers may be text. `input_tokens` counts neither cache reads nor writes. The event and the span carry the HTTP request
id, which is not the answer's id.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.contract import Group
from processors.dialects.dialect import Dialect
from processors.dialects.names import provider_of_model
from processors.dialects.words import attr, first, has, is_true, joined, listed, says

_event = pl.col("event.name")
_is_ours = (
    pl.col("@body").str.starts_with("claude_code.")
    | pl.col("@scope").str.starts_with("com.anthropic.claude_code")
    | pl.col("resource:service.name").str.starts_with("claude-code")
).fill_null(False)
_is_request = _event.is_in(["claude_code.api_request", "claude_code.api_error"]) | (
    _event.is_in(["api_request", "api_error"]) & _is_ours
)
_failed = _event.str.ends_with("api_error")
#: A model with a larger context window is marked ``[1m]``; it is priced by its own name.
_model = first("model", "gen_ai.request.model").str.replace(r"\[\w+\]$", "")

_ABOUT: Final = {
    "provider": pl.coalesce(provider_of_model(_model), pl.lit("anthropic")),
    "operation": pl.lit("chat"),
    "requested_model": first("model", "gen_ai.request.model"),
    "model": _model,
    "response_model": pl.lit(None, pl.String),
    "response_id": pl.lit(None, pl.String),
    "input_tokens": attr("input_tokens"),
    "output_tokens": attr("output_tokens"),
    "cache_read_tokens": attr("cache_read_tokens"),
    "cache_write_tokens": attr("cache_creation_tokens"),
    "team": first("team.id", "team", "team.name", "resource:team.id", "resource:team", "resource:team.name"),
    "organization_id": attr("organization.id"),
    "user_id": first("user.email", "user.account_uuid", "user.account_id", "user.id", "resource:user.id"),
    "agent": first("agent.name", "resource:gen_ai.agent.name"),
    "error_code": first("status_code", "http.response.status_code"),
}

EVENT: Final = Dialect(
    name="claude_code",
    signal=Signal.LOGS,
    recognise=_is_request & has("session.id", "model"),
    said={
        **_ABOUT,
        "call_id": pl.coalesce(
            attr("request_id"),
            pl.when(~_failed).then(attr("client_request_id")),
            joined("session.id", "prompt.id", "event.sequence", "@end"),
        ),
        "status": pl.when(_failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
        "error_type": attr("error").str.extract(r"^([A-Za-z_]{3,60})$", 1),
        "duration_ms": attr("duration_ms"),
        "cost_reported_usd": attr("cost_usd"),
    },
    rank=30,
    ranks={Group.TIMING: 40},
    input_includes_cached=False,
)

SPAN: Final = Dialect(
    name="claude_code.span",
    recognise=has("llm_request.context") | ((pl.col("span.type") == "llm_request") & has("gen_ai.request.model")),
    said={
        **_ABOUT,
        "call_id": first("request_id", "client_request_id", "gen_ai.response.id"),
        "status": pl.when((pl.col("@status") == 2) | ~is_true("success").fill_null(True))
        .then(pl.lit("error"))
        .otherwise(pl.lit("ok")),
        "ttft_ms": attr("ttft_ms"),
        "streaming": pl.when(says("ttft_ms")).then(True),
        "finish_reasons": listed(attr("stop_reason")),
    },
    rank=35,
    ranks={Group.TIMING: 30},
    input_includes_cached=False,
)
