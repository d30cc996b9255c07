"""Rows of `genai_refusals`."""

from __future__ import annotations

from typing import Any

import pytest

from processors.landing import GENAI_REFUSALS
from processors.normalise import Normalise
from processors.refusals import refusals
from tests.unit.processors.spans import NO_USAGE, PROXY, batch_of, litellm_span


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"error.type": "BudgetExceededError"}, "budget"),
        ({"error.type": "ProxyException", "error.message": "ExceededBudget: Team over budget"}, "budget"),
        ({"error.type": "ProxyRateLimitError"}, "rate_limit"),
        ({"error.type": "HTTPException", "error.message": "Max parallel requests reached"}, "rate_limit"),
        ({"error.type": "GuardrailRaisedException"}, "guardrail"),
        ({"error.type": "ProxyException", "error.message": "key not allowed to access model"}, "model"),
        (
            {"error.type": "ProxyException", "error.message": "Authentication Error, Invalid proxy server token"},
            "authentication",
        ),
        ({"error.type": "ProxyException", "error.message": "it is late", "error.code": "401"}, "authentication"),
        ({"error.type": "ProxyException", "error.message": "it is late", "error.code": "400"}, "other"),
        ({"error.type": "ProxyException"}, "other"),
    ],
)
def test_reason(error: dict[str, Any], reason: str) -> None:
    """Why the gateway refused: by its error's class, else its words, else its status."""
    span = litellm_span({**PROXY, **NO_USAGE, **error}, status=2)
    row = refusals(Normalise()(batch_of(span))).row(0, named=True)
    assert (row["reason"], row["requested_model"], row["team"], row["gateway"]) == (
        reason,
        "fast",
        "Payments",
        "litellm",
    )
    assert "late" not in str(row)


def test_only_refusals() -> None:
    """Calls, failed or not, are no refusals, and nothing refused is an empty table."""
    failed = litellm_span({**NO_USAGE, "error.type": "RateLimitError", "error.llm_provider": "openai"}, status=2)
    rows = refusals(Normalise()(batch_of(litellm_span(), failed)))
    assert rows.is_empty()
    assert rows.schema == GENAI_REFUSALS
