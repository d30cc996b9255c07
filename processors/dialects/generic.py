"""Whoever sends `gen_ai.*` usage and has no dialect: counted, with the issue ``generic_dialect``.

Conventions of such a producer (does input include cached tokens?) are not known; its numbers decide. What looks like
the
total of several calls (agents, workflows, tools) is left out.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.contract import TEXTS
from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import has, says

_AGGREGATES: Final = (
    r"agent|tool|workflow|chain|graph|crew|handoff|guardrail|evaluat|plan|step|memory|session|retriev|llm_call"
)
_operation = pl.col("gen_ai.operation.name").str.to_lowercase()
_usage = says(
    "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
)  # fmt: skip
#: Marks of producers that have a dialect, which did not take this span for a call.
_known = has(
    "ai.operationId", "openinference.span.kind", "traceloop.span.kind", "litellm.call_id", "hidden_params",
    "pydantic_ai.all_messages", "all_messages_events", "agent_name", "gen_ai.aggregated_usage.input_tokens",
    "codex.usage.total_tokens", "llm_request.context",
)  # fmt: skip

DIALECT: Final = Dialect(
    name="generic",
    recognise=otel_genai.HAS_MODEL
    & (_usage | otel_genai.IS_INFERENCE.fill_null(False))
    & ~_operation.str.contains(_AGGREGATES).fill_null(False)
    & ~_known,
    said={**otel_genai.SAID, "issues": pl.lit(["generic_dialect"], TEXTS)},
    rank=50,
    input_includes_cached=None,
)
