"""All findings the doctor can make, in the order they are asked: what costs most to miss comes first."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice import agents, books, calls, completeness, instrumentors, litellm, litellm_callback
from otel_exporter.doctor.advice.rule import Finding, Mend, Rule, Severity

RULES: Final[tuple[Rule, ...]] = (
    *litellm.RULES,
    *litellm_callback.RULES,
    *calls.RULES,
    *books.RULES,
    *completeness.RULES,
    *instrumentors.RULES,
    *agents.RULES,
)

__all__ = ["RULES", "Finding", "Mend", "Rule", "Severity"]
