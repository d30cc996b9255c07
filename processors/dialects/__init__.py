"""The dialects, in the order they are tried: the most particular first."""

from __future__ import annotations

from typing import Final

from processors.dialects import otel_genai
from processors.dialects.dialect import Dialect

DIALECTS: Final[tuple[Dialect, ...]] = (otel_genai.DIALECT,)
