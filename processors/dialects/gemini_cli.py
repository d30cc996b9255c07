"""Gemini CLI: one log event for each answer and one for each failure.

Every call is also told as the GenAI conventions' event, without thoughts, cached tokens or tool prompts, and (for its
developers) as an ``llm_call`` span: those are left out. Thoughts are counted beside the output, tool prompts beside the
input; the total holds all four.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, count, first, joined, text_list

_event = pl.coalesce(attr("event.name"), pl.col("@event_name"))
_failed = _event == "gemini_cli.api_error"


def _sum(part: str, beside: str) -> pl.Expr:
    return count(attr(part)) + count(attr(beside)).fill_null(0)


EVENT: Final = Dialect(
    name="gemini_cli",
    signal=Signal.LOGS,
    recognise=_event.is_in(["gemini_cli.api_response", "gemini_cli.api_error"]),
    said={
        "call_id": joined("session.id", "prompt_id", "@end", "event.timestamp", "total_token_count", "status_code"),
        "status": pl.when(_failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
        "error_type": first("error.type", "error_type"),
        "error_code": first("status_code", "http.status_code"),
        "provider": pl.when(pl.col("auth_type") == "vertex-ai")
        .then(pl.lit("gcp.vertex_ai"))
        .otherwise(pl.lit("gcp.gemini")),
        "operation": pl.lit("generate_content"),
        "requested_model": first("model", "model_name"),
        "model": first("model", "model_name"),
        "duration_ms": attr("duration_ms"),
        "finish_reasons": text_list(pl.col("finish_reasons")),
        "input_tokens": _sum("input_token_count", "tool_token_count"),
        "output_tokens": _sum("output_token_count", "thoughts_token_count"),
        "total_tokens": attr("total_token_count"),
        "cache_read_tokens": attr("cached_content_token_count"),
        "reasoning_tokens": attr("thoughts_token_count"),
        "user_id": first("user.email", "resource:user.id", "installation.id"),
    },
)
