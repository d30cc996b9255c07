"""The dialects, in the order they are tried: the most particular first."""

from __future__ import annotations

from typing import Final

from processors.dialects import litellm_raw, litellm_semconv, litellm_v1, litellm_v2, otel_genai
from processors.dialects.dialect import Dialect

DIALECTS: Final[tuple[Dialect, ...]] = (
    litellm_v2.DIALECT,
    litellm_semconv.DIALECT,
    litellm_v1.DIALECT,
    litellm_raw.DIALECT,
    otel_genai.DIALECT,
)
