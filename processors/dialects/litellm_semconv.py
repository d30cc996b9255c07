"""LiteLLM's `otel` callback with ``OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental``.

The span is named and typed by the newest GenAI conventions; all else is as in `litellm_v1`. No raw provider span.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.dialects import litellm_v1
from processors.dialects.dialect import Dialect
from processors.dialects.words import attr, has, is_true

SAID: Final = {
    **litellm_v1.SAID,
    "provider": pl.coalesce(attr("gen_ai.provider.name"), litellm_v1.SAID["provider"]),
    "streaming": is_true("gen_ai.request.stream").fill_null(False),  # sent only when it streams
    "cache_read_tokens": pl.coalesce(
        attr("gen_ai.usage.cache_read.input_tokens").cast(pl.UInt64, strict=False),
        litellm_v1.SAID["cache_read_tokens"],
    ),
    "cache_write_tokens": pl.coalesce(
        attr("gen_ai.usage.cache_creation.input_tokens").cast(pl.UInt64, strict=False),
        litellm_v1.SAID["cache_write_tokens"],
    ),
}

DIALECT: Final = Dialect(
    name="litellm.semconv",
    recognise=litellm_v1.IS_V1 & has("gen_ai.provider.name") & ~has("gen_ai.system"),
    derive=litellm_v1.DERIVE,
    said=SAID,
    rank=10,
)
