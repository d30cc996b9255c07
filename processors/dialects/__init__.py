"""The dialects, in the order they are tried: the most particular first."""

from __future__ import annotations

from typing import Final

from processors.dialects import (
    anthropic_sdk,
    claude_code,
    codex,
    copilot_chat,
    gemini_cli,
    generic,
    litellm_callback,
    litellm_raw,
    litellm_semconv,
    litellm_spend_log,
    litellm_v1,
    litellm_v2,
    openinference,
    openlit,
    otel_genai,
    pydantic_ai,
    traceloop,
    vercel_ai,
)
from processors.dialects.dialect import Dialect

DIALECTS: Final[tuple[Dialect, ...]] = (
    litellm_v2.DIALECT,
    litellm_semconv.DIALECT,
    litellm_v1.DIALECT,
    litellm_raw.DIALECT,
    vercel_ai.LEGACY,
    anthropic_sdk.DIALECT,
    claude_code.SPAN,
    copilot_chat.SPAN,
    openlit.DIALECT,
    pydantic_ai.DIALECT,
    openinference.DIALECT,
    vercel_ai.DIALECT,
    traceloop.DIALECT,
    otel_genai.DIALECT,
    generic.DIALECT,
    litellm_spend_log.DIALECT,
    litellm_callback.EVENT,
    claude_code.EVENT,
    codex.EVENT,
    gemini_cli.EVENT,
    copilot_chat.EVENT,
    otel_genai.EVENT,
)
