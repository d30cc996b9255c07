"""The Anthropic SDK's own spans (Python 2.x), written as soon as the application has a tracer provider.

They stand inside the span of any instrumentor, which describes the same call: same response id, except on failures.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, first, has, is_true, listed

#: A failure has only the route.
_is_sdk = has("anthropic.request.id", "anthropic.message.stop_reason", "anthropic.response.service_tier") | (
    pl.col("http.route") == "/v1/messages"
).fill_null(False)

SAID: Final = {
    **otel_genai.SAID,
    "cache_write_1h_tokens": attr("anthropic.usage.cache_creation.ephemeral_1h_input_tokens"),
    "streaming": is_true("gen_ai.request.stream").fill_null(False),  # sent only when it streams
    "finish_reasons": listed(attr("anthropic.message.stop_reason")),
    "service_tier": first("anthropic.response.service_tier"),
}

DIALECT: Final = Dialect(
    name="anthropic.sdk",
    recognise=_is_sdk
    & (pl.col("gen_ai.provider.name") == "anthropic")
    & otel_genai.HAS_MODEL
    & otel_genai.IS_INFERENCE,
    said=SAID,
    rank=20,
)
