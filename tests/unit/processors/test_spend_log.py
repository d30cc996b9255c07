"""The dialect of LiteLLM's spend logs, and records that are rows of our tables."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from otel_exporter.decode import Decoder
from otel_exporter.imports.names import records
from otel_exporter.imports.records import request, row
from otel_exporter.imports.spend_records import instant, spend_request
from otel_exporter.litellm_api.directory import Directory, Entry
from processors import chain
from processors.batch import Batch, Signal
from processors.identify import Identify, with_keys
from processors.land import land
from processors.normalise import Normalise
from processors.redact import Identity
from tests.litellm_books import TEAMS, Row, span_of, spend_log
from tests.unit.processors.spans import batch_of, normalised

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
NAMES = Directory(tuple(Entry("team", team, alias) for team, alias in TEAMS.items()))


def _batch(body: bytes) -> Batch:
    return Decoder(None).decode(Signal.LOGS, [body], "acme")


def _observed(*rows: Row, names: Directory = NAMES) -> pl.DataFrame:
    return Identify()(Normalise()(_batch(spend_request(rows, names)))).observations


@pytest.mark.parametrize("kind", range(10))
def test_a_row_and_the_span_of_its_call_share_a_key(kind: int) -> None:
    """Successes, failures and cache hits: what the proxy's span is known by, its row is known by."""
    booked = spend_log(40 + kind, AT)
    status = 2 if booked["status"] == "failure" else 1
    span = with_keys(normalised(batch_of({"attributes": span_of(booked), "status": status})))
    assert span["keys"][0][0] == _observed(booked)["keys"][0][0]


def test_a_row_is_read() -> None:
    """Money to the last digit, times, tokens, and names behind ids that the row itself does not say."""
    seen = _observed(spend_log(7, AT, spend=0.1 + 0.2)).row(0, named=True)
    assert seen["cost_reported_usd"] == Decimal("0.3")
    assert seen["started_at"] == AT and seen["duration_ms"] == 807 and seen["ttft_ms"] == 300
    assert (seen["input_tokens"], seen["output_tokens"]) == (107, 27)
    assert (seen["team"], seen["team_id"]) == ("support", "t-support")
    assert (seen["provider"], seen["model"], seen["requested_model"]) == ("openai", "gpt-4o-mini", "fast")
    assert seen["rank_caller"] == 90


@pytest.mark.parametrize(
    "error",
    [
        {"error_class": "BudgetExceededError", "error_code": "400"},
        {"error_class": "ProxyException", "llm_provider": ""},
        {"error_class": "SomethingNew"},
    ],
)
def test_a_refused_request_is_no_call(error: dict[str, Any]) -> None:
    """A row about a request that no provider was asked for is not an observation."""
    refused = spend_log(3, AT)
    refused["metadata"] = refused["metadata"] | {"error_information": error}
    assert _observed(refused).is_empty()


def test_content_never_leaves_a_row() -> None:
    """Messages, answers, bodies and error messages of a row are in no byte of what is sent."""
    told = spend_log(3, AT) | {"messages": "secret-1", "response": "secret-2", "proxy_server_request": "secret-3"}
    body = spend_request([told], NAMES)
    assert b"secret" not in body
    assert body == spend_request([told], NAMES)


@pytest.mark.parametrize(
    "broken", [{}, {"endTime": "never"}, {"endTime": None}, {"endTime": "2026-10-01", "metadata": "{"}]
)
def test_a_broken_row_does_no_harm(broken: Row) -> None:
    """A row that is none is left out, and those beside it are read."""
    assert "chatcmpl-00000000Qx7Rk2Zt9Lm4" in _observed(broken, spend_log(0, AT))["response_id"].to_list()


def test_an_instant_is_exact() -> None:
    """ISO 8601 with and without an offset, to the microsecond; anything else is unknown."""
    assert instant("2026-10-01T12:00:00.000001Z") == instant("2026-10-01T14:00:00.000001+02:00")
    assert instant("2026-10-01 12:00:00.000001") == 1_790_856_000_000_001_000
    assert instant("1969-12-31T00:00:00") is instant("yesterday") is instant(None) is None


def test_names_and_limits_become_rows_of_our_tables() -> None:
    """A told row arrives in its table with its tenant's name on it, exact money, and unknown as NULL."""
    told = records([Entry("team", "t-1", "search", "o-1", max_budget_usd="12.345678901234")], 10**18)
    tables = land(_batch(request("s", told)))
    assert tables["genai_names"].select("tenant", "source", "kind", "id", "name", "organization_id").row(0) == (
        "acme", "litellm", "team", "t-1", "search", "o-1",
    )  # fmt: skip
    limit = tables["genai_limits"].row(0, named=True)
    assert limit["max_budget_usd"] == Decimal("12.345678901234")
    assert (limit["spend_usd"], limit["reset_at"], limit["scope"]) == (None, None, "team")


def test_a_told_row_that_makes_no_sense_is_not_believed() -> None:
    """Text where a number belongs is unknown; the tenant is the credential's, whatever a record says."""
    made = row("genai_limits", 10**18, {"scope": "key", "id": "k", "tenant": "other", "max_budget_usd": "much"})
    (told,) = land(_batch(request("s", [made])))["genai_limits"].to_dicts()
    assert told["tenant"] == "acme" and told["max_budget_usd"] is None


def test_the_identity_policy_reaches_imported_people() -> None:
    """With `identity: hash` a user's id and address are hashed in names, and the same in calls; teams stay."""
    policy = chain.build(choices=chain.Choices(identity=Identity.HASH, key=b"k" * 32))
    entry = Entry("user", "u-1", "ana@example.com")
    named = land(chain.run(policy, _batch(request("s", records([entry, Entry("team", "t", "search")], 10**18)))))
    user, team = named["genai_names"].sort("kind", descending=True).to_dicts()
    assert "ana" not in user["name"] and user["id"] != "u-1" and team["name"] == "search"
    call = chain.run(policy, _batch(spend_request([spend_log(0, AT)], NAMES))).observations
    assert call["user_id"][0] == user["id"]
