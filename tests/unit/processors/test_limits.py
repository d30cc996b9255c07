"""Rows of `genai_limits`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.landing import GENAI_LIMITS
from processors.limits import limits
from tests.unit.processors.spans import PROXY, batch_of, litellm_span

BUDGETS = {
    **PROXY,
    "metadata.user_api_key_max_budget": 100.0,
    "metadata.user_api_key_spend": 1.25,
    "metadata.user_api_key_team_max_budget": 500.0,
    "metadata.user_api_key_team_spend": 9.5,
    "metadata.user_api_key_user_id": "u",
    "metadata.user_api_key_user_spend": 0.0,
}


def rows_of(*attributes: dict[str, Any], every: float = 1) -> list[dict[str, Any]]:
    """The limits that a span with each of these attributes shows, spans ``every`` seconds apart."""
    spans = [litellm_span(each, start=n * every, end=n * every + 0.5) for n, each in enumerate(attributes)]
    return limits(batch_of(*spans)).to_dicts()


def test_budgets_by_scope() -> None:
    """Key, team and user each have a row with their own counters; a counter that says nothing has none."""
    rows = {row["scope"]: row for row in rows_of(BUDGETS)}
    assert set(rows) == {"key", "team"}
    key, team = rows["key"], rows["team"]
    assert (key["id"], key["alias"], key["max_budget_usd"], key["spend_usd"]) == (
        "hash-1",
        "checkout",
        100,
        Decimal("1.25"),
    )
    assert (team["id"], team["alias"], team["max_budget_usd"], team["spend_usd"]) == (
        "t-1",
        "Payments",
        500,
        Decimal("9.5"),
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x_ratelimit_remaining_requests": 9999, "x_ratelimit_remaining_tokens": 0},
        {"llm_provider-x-ratelimit-remaining-requests": "9999", "llm_provider-x-ratelimit-remaining-tokens": "0"},
        {
            "llm_provider-anthropic-ratelimit-requests-remaining": "9999",
            "llm_provider-anthropic-ratelimit-tokens-remaining": "0",
        },
    ],
)
def test_headroom_of_the_provider(headers: dict[str, Any]) -> None:
    """What the provider's headers leave of requests and tokens belongs to the deployment; nothing left is a number."""
    hidden = json.dumps({"model_id": "dep-1", "additional_headers": headers})
    (row,) = rows_of({"hidden_params": hidden, "litellm.model_group": "fast"})
    assert (row["scope"], row["id"], row["alias"]) == ("deployment", "dep-1", "fast")
    assert (row["remaining_requests"], row["remaining_tokens"]) == (9999, 0)


def test_latest_of_each_minute() -> None:
    """Of many spans a minute only the last word on each id is kept."""
    spends = [{**PROXY, "metadata.user_api_key_spend": float(spend)} for spend in range(1, 5)]
    assert [row["spend_usd"] for row in rows_of(*spends, every=1)] == [4]
    assert [row["spend_usd"] for row in rows_of(*spends, every=60)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "text", ["2026-12-01T00:00:00Z", "2026-12-01 00:00:00+00:00", "2026-12-01T01:00:00.25+01:00", "2026-12-01T00:00:00"]
)
def test_reset_times(text: str) -> None:
    """A budget's reset is read as ISO 8601 or as Python prints it."""
    (row,) = rows_of({**BUDGETS, "metadata.user_api_key_team_id": None, "metadata.user_api_key_budget_reset_at": text})
    assert row["reset_at"] == datetime(2026, 12, 1, tzinfo=UTC)


@given(
    st.one_of(
        st.text(max_size=30), st.sampled_from(["9999-99-99T99:99:99", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
    )
)
def test_no_value_makes_it_raise(nonsense: str) -> None:
    """Any text in any of the attributes gives rows of the agreed shape."""
    names = ("budget_reset_at", "max_budget", "spend", "hash")
    attributes = {f"metadata.user_api_key_{name}": nonsense for name in names} | {"hidden_params": nonsense}
    assert limits(batch_of(litellm_span(attributes))).schema == GENAI_LIMITS
