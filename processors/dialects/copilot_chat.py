"""VS Code Copilot Chat: the GenAI conventions' event and CLIENT span of each call, with words of its own.

An event without a trace is named by the moment, where the answer's id is not told. An event without counts and
without an error was written for a request that came to nothing.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Signal
from processors.contract import Group, Role
from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, first, has, joined, says

_is_copilot = (
    has("copilot_chat.session_id", "copilot_chat.endpoint_type", "copilot_chat.debug_name", "copilot_chat.api_type")
    | has("copilot_chat.time_to_first_token", "copilot_chat.server_request_id")
    | (pl.col("resource:service.name") == "copilot-chat")
).fill_null(False)
_failed = says("error.type")
_answered = says("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.response.id")

_ABOUT: Final = {
    **otel_genai.SAID,
    "session_id": first(
        "copilot_chat.session_id", "gen_ai.conversation.id", "session.id", "resource:session.id"
    ),
    "ttft_ms": attr("copilot_chat.time_to_first_token"),
}  # fmt: skip

EVENT: Final = Dialect(
    name="copilot_chat",
    signal=Signal.LOGS,
    recognise=otel_genai.IS_EVENT & _is_copilot & otel_genai.HAS_MODEL,
    said={
        **_ABOUT,
        "role": pl.when(_answered | _failed).then(pl.lit(Role.CALL.value)).otherwise(pl.lit(Role.SUPPORT.value)),
        "call_id": pl.when(pl.col("@trace_id").fill_null("") == "").then(
            joined("resource:session.id", "@end", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
        ),
        "status": pl.when(_failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
    },
    rank=40,
    ranks={Group.TIMING: 80},
)

SPAN: Final = Dialect(
    name="copilot_chat.span",
    recognise=_is_copilot & otel_genai.HAS_MODEL & otel_genai.IS_INFERENCE,
    said=_ABOUT,
)
