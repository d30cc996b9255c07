"""pydantic-ai: the GenAI conventions with a cost (`operation.cost`) and details of usage.

`input_tokens` includes cached tokens for every provider (it says so of itself). Agent runs are ``invoke_agent``, or in
old versions ``agent run`` spans without an operation, and repeat the totals.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import has

_is_pydantic = has("model_request_parameters") | (pl.col("@scope") == "pydantic-ai")

DIALECT: Final = Dialect(
    name="pydantic_ai",
    recognise=_is_pydantic.fill_null(False) & otel_genai.HAS_MODEL & otel_genai.IS_INFERENCE,
    said=otel_genai.SAID,
)
