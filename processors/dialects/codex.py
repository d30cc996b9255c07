"""Codex: the end of an answer (``codex.sse_event`` of kind ``response.completed``) and requests that failed.

Read in codex-rs/otel and core: the counts come once, on an event of their own; an answer that broke off is such an
event
with an error instead. ``codex.api_request`` of a request that went well is the same call again, without counts. Nothing
names a call, so that the conversation and the moment must. `tool_token_count` is the total.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, first, has, joined, says

_event = pl.coalesce(attr("event.name"), pl.col("@event_name"))
_completed = (_event == "codex.sse_event") & (pl.col("event.kind") == "response.completed")
_broke_off = _completed & ~says("input_token_count") & has("error.message")
_code = pl.col("http.response.status_code").cast(pl.Int64, strict=False)
_asks = pl.col("endpoint").fill_null("unknown").str.contains("^unknown$|responses|chat/completions")
_refused = (
    (_event == "codex.api_request")
    & _asks
    & ((_code >= 400) | (_code.is_null() & has("error.message"))).fill_null(False)
)
_failed = _broke_off | _refused

EVENT: Final = Dialect(
    name="codex",
    signal=Signal.LOGS,
    recognise=(_completed & says("input_token_count")) | _failed,
    said={
        "call_id": joined("conversation.id", "@end", "event.timestamp", "input_token_count", "output_token_count"),
        "status": pl.when(_failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
        "provider": pl.lit(None, pl.String),
        "operation": pl.lit("responses"),
        "requested_model": first("slug", "model"),
        "model": attr("model"),
        "streaming": pl.lit(True),
        "duration_ms": attr("duration_ms"),
        "input_tokens": attr("input_token_count"),
        "output_tokens": attr("output_token_count"),
        "total_tokens": attr("tool_token_count"),
        "cache_read_tokens": attr("cached_token_count"),
        "reasoning_tokens": attr("reasoning_token_count"),
        "session_id": first("conversation.id", "session.id"),
        "user_id": first("user.email", "user.account_id", "resource:user.id"),
        "user_agent": attr("originator"),
        "environment": first(
            "resource:deployment.environment.name", "resource:deployment.environment", "resource:env", "env"
        ),
    },
)
