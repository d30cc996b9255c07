"""Advice on histories whose answers can be worked out by hand: to the cent, and what is unknown stays unknown.

Prices of the table in dollars for a million tokens: gpt-4o 2.50 in, 1.25 cached, 10 out; gpt-4o-mini 0.15 in, 0.60 out.
Prices of our own: big 10 in, 1 cache read, 12.50 cache write, 50 out; small 1 in, 5 out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_exporter.advice import budgets, changes
from otel_exporter.advice.advise import advise
from otel_exporter.advice.history import AROUND, COLUMNS, Chunk, chunk
from otel_exporter.advice.prefixes import PROMPTS, shared
from otel_exporter.failures import Refused
from otel_exporter.pricebook import price_book
from processors.contract import CALL

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PER_MILLION = {
    "big": {"input": 10, "output": 50, "cache_read": 1, "cache_write": Decimal("12.5")},
    "small": {"input": 1, "output": 5},
}
BOOK = price_book(
    overrides=[{"models": name, "provider": "anthropic", "per_million": prices} for name, prices in PER_MILLION.items()]
).price
TYPES = {column.name: column.polars for column in CALL}
_NUMBERS = iter(range(10**6))


def call(model: str, asked: int | None, answered: int | None, cost: str | None, **said: Any) -> dict[str, Any]:
    """A call that took a second."""
    at = said.pop("at", NOON)
    provider = "anthropic" if model in PER_MILLION else "openai"
    usual = {
        "tenant": "t",
        "call_key": f"c{next(_NUMBERS):04}",
        "provider": provider,
        "model": model,
        "requested_model": model,
        "operation": "chat",
        "status": "ok",
        "started_at": at,
        "ended_at": at + timedelta(seconds=1),
        "input_tokens": asked,
        "output_tokens": answered,
        "cost_usd": None if cost is None else Decimal(cost),
    }
    return usual | said


def history(*calls: dict[str, Any]) -> pl.DataFrame:
    nothing = {name: "" for name in COLUMNS if TYPES[name] == pl.String}
    return pl.DataFrame([nothing | one for one in calls], schema={name: TYPES[name] for name in COLUMNS})


@pytest.fixture(scope="module")
def bought() -> Iterator[pl.DataFrame]:
    """gpt-4o: 1,000,000 in and 100,000 out for 3.50, and 2,000 in and 1,000 out for 0.015; what costs nothing; what
    nobody knows the tokens or the cost of."""
    yield history(
        call("gpt-4o", 1_000_000, 100_000, "3.50"),
        call("gpt-4o", 2_000, 1_000, "0.015"),
        call("gpt-4o", 500, 500, "0", cache_hit=True),
        call("gpt-4o", 0, 0, "0", status="error"),
        call("gpt-4o", None, None, None),
        call("gpt-4o", None, None, "0.25"),
        call("gpt-4o-mini", 1_000_000, 0, "0.15"),
    )


def test_another_model(bought: pl.DataFrame) -> None:
    """gpt-4o-mini instead: 0.15 + 0.06 and 0.0003 + 0.0006 instead of 3.515; cache hits and failures stay what they
    were; a call without tokens or cost is in neither sum."""
    found = changes.swap(bought, BOOK, "gpt-4o", "openai", "gpt-4o-mini")
    assert (found.calls, found.unknown_calls) == (2, 2)
    assert (found.actual_usd, found.would_be_usd, found.saved_usd) == tuple(map(Decimal, ("3.515", "0.2109", "3.3041")))
    assert "model_group_alias:\n    gpt-4o: gpt-4o-mini" in found.config


def test_a_model_nobody_has_a_price_for_is_unknown(bought: pl.DataFrame) -> None:
    """What another model would cost without a price is not 0: every call is unknown, and nothing is advised."""
    found = changes.swap(bought, BOOK, "gpt-4o", "acme", "mystery-9")
    assert (found.calls, found.unknown_calls, found.saved_usd) == (0, 4, 0)


def test_what_the_batch_tier_costs() -> None:
    """Half of gpt-4o's price for what was not streamed; streamed calls, and calls nobody says it of, are left out."""
    calls = history(
        call("gpt-4o", 1_000_000, 100_000, "3.50", streaming=False, application="nightly"),
        call("gpt-4o", 1_000_000, 100_000, "3.50", streaming=True, application="nightly"),
        call("gpt-4o", 1_000_000, 100_000, "3.50", application="nightly"),
        call("gpt-4o", 1_000_000, 100_000, "3.50", streaming=False, application="bot"),
    )
    found = changes.batch(calls, BOOK, "nightly", "gpt-4o")
    assert (found.calls, found.actual_usd, found.would_be_usd) == (1, Decimal("3.50"), Decimal("1.75"))


def test_fewer_retries() -> None:
    """At most one retry: the third and fourth attempt cost 0.30 together, and one request would have failed."""
    tries = [("0.10", "error"), ("0.10", "error"), ("0.10", "error"), ("0.20", "ok")]
    calls = history(
        *(
            call("gpt-4o", 1, 1, cost, status=status, request_key="r", attempt=number + 1)
            for number, (cost, status) in enumerate(tries)
        ),
        call("gpt-4o", 1, 1, "0.40", request_key="s", attempt=1),
    )
    found = changes.retries(calls, 1)
    assert (found.calls, found.saved_usd) == (2, Decimal("0.30"))
    assert found.assumption == "a request that fails 2 times fails; 1 requests were answered by a later attempt"
    assert found.config.endswith("router_settings:\n  num_retries: 1\n")


def test_a_cheaper_fallback() -> None:
    """Only the calls that stood in for the failed model are priced anew: 1.00 + 0.50 on small instead of 15 on big."""
    calls = history(
        call("gpt-4o", 0, 0, "0", status="error"),
        call("big", 1_000_000, 100_000, "15", fallback_from="gpt-4o"),
        call("big", 1_000_000, 100_000, "15"),
    )
    found = changes.fallback(calls, BOOK, "gpt-4o", "anthropic", "small")
    assert (found.calls, found.actual_usd, found.would_be_usd) == (1, Decimal(15), Decimal("1.5"))
    assert "fallbacks:\n  - gpt-4o:\n    - small" in found.config


def test_prompt_caching() -> None:
    """Turns of 2,000, 3,200 and 4,600 tokens with answers of 200: turn 2 reads 2,200 and turn 3 reads 3,400 tokens;
    turns 1 and 2 write the 2,000 and 1,000 others; a fourth turn that comes too late, and another session, stay.

    Without: (2,000 + 3,200 + 4,600) x 10 + 600 x 50 = 0.128. With: (2,200 + 3,400) x 1 + (2,000 + 1,000) x 12.50
    + 1,200 x 10 + 600 x 50 = 0.0851.
    """
    turns = [(2_000, 0), (3_200, 1), (4_600, 2), (6_000, 30)]
    sizes = [(Decimal(asked * 10 + 200 * 50) / 10**6, asked, minutes) for asked, minutes in turns]
    calls = history(
        *(
            call("big", asked, 200, str(cost), session_id="s", at=NOON + timedelta(minutes=minutes))
            for cost, asked, minutes in sizes
        ),
        call("big", 9_000, 200, "0.1", session_id="other"),
        call("big", 9_000, 200, "0.1"),
    )
    found = changes.caching(calls, BOOK, "big")
    assert (found.calls, found.actual_usd, found.would_be_usd) == (3, Decimal("0.128"), Decimal("0.0851"))
    assert "an estimate" in found.assumption and "cache_control_injection_points" in found.config


def cut(key: str, mark: int, size: int, whole: int) -> dict[str, Any]:
    return {"tenant": "t", "call_key": key, "mark": mark, "bytes": size, "whole": whole}


def test_prefixes_that_were_seen() -> None:
    """Prompts of 20,000 bytes and 5,000 tokens: 12,000 bytes (3,000 tokens) begin a, b, c and d alike; 16,000 bytes
    (4,000) also b and c. d comes too late, e is another application's, f used the cache already, g's is too short.

    a writes 3,000; b reads them and writes 1,000 more; c reads 4,000. Without: 3 x (5,000 x 10 + 100 x 50) = 0.165.
    With: (2,000 + 1,000 + 1,000) x 10 + (3,000 + 1,000) x 12.50 + (3,000 + 4,000) x 1 + 300 x 50 = 0.112.
    """
    said = {"application": "bot", "asked": 5_000}
    minutes = {"a": 0, "b": 1, "c": 2, "d": 40, "e": 3, "f": 3, "g": 3}
    other: dict[str, dict[str, Any]] = {"e": {"application": "x"}, "f": {"cache_read_tokens": 3_000}}
    calls = history(
        *(
            call("big", said["asked"], 100, "0.055", call_key=key, at=NOON + timedelta(minutes=at))
            | {"application": "bot"}
            | other.get(key, {})
            for key, at in minutes.items()
        )
    )
    prompts = pl.DataFrame(
        [
            *(cut(key, 1, 12_000, 20_000) for key in "abcdef"),
            *(cut(key, 2, 16_000, 20_000) for key in "bc"),
            *(cut(key, 3, 4_000, 20_000) for key in "abcg"),
        ],
        schema=PROMPTS,
    )
    found = changes.prefixes(calls, BOOK, "bot", "big", shared(calls, prompts))
    assert (found.calls, found.actual_usd, found.would_be_usd) == (3, Decimal("0.165"), Decimal("0.112"))
    assert (found.cached_tokens, found.saved_usd) == (7_000, Decimal("0.053"))
    assert found.subject == "bot: big" and "share of the bytes" in found.assumption
    by_kind = {one.change: one for one in advise([chunk(calls, prompts)], BOOK)}
    assert by_kind["cache the prefixes seen"].saved_usd == Decimal("0.053")


def test_what_is_seen_is_not_guessed() -> None:
    """Turns of a session whose prompts are kept and share nothing are no reason to advise a cache; of the same turns
    without content the advice says that it is an estimate, and why."""
    calls = history(
        *(
            call("big", tokens, 200, "0.05", session_id="s", call_key=key, at=NOON + timedelta(minutes=at))
            for at, (key, tokens) in enumerate([("a", 2_000), ("b", 3_000)])
        )
    )
    apart = pl.DataFrame([cut("a", 1, 9_000, 10_000), cut("b", 2, 9_000, 10_000)], schema=PROMPTS)
    assert not [one for one in advise([chunk(calls, apart)], BOOK) if one.kind == "cache"]
    [guess] = [one for one in advise([chunk(calls)], BOOK) if one.kind == "cache"]
    assert "no content of these calls is kept (content.policy)" in guess.assumption
    assert guess.cached_tokens == 2_200


def test_what_is_cached_already_is_not_advised() -> None:
    """Turns that read the cache, repeat less than providers cache, or repeat no turn before stay as they are."""
    minute = timedelta(minutes=1)
    calls = history(
        call("big", 2_000, 200, "1", session_id="a", cache_write_tokens=2_000),
        call("big", 3_000, 200, "1", session_id="a", cache_read_tokens=2_000, at=NOON + minute),
        call("big", 500, 200, "1", session_id="b"),
        call("big", 900, 200, "1", session_id="b", at=NOON + minute),
        call("big", 5_000, 200, "1", session_id="c"),
        call("big", 3_000, 200, "1", session_id="c", at=NOON + minute),
        call("big", None, None, "1", session_id="d"),
        call("big", 3_000, 200, "1", session_id="d", at=NOON + minute),
    )
    assert changes.caching(calls, BOOK, "big").calls == 0


def test_the_budget_that_was_not_there() -> None:
    """1 dollar a day for each team: search reaches it when its second call ends at 10:00:01, so what began later is
    refused until midnight; a call that had begun is let through; support never reaches it; a retried request is one."""
    day = datetime(2026, 11, 2, tzinfo=UTC)

    def at(hour: int, second: int = 0) -> dict[str, Any]:
        return {"at": day + timedelta(hours=hour, seconds=second), "team": "search"}

    calls = history(
        call("gpt-4o", 1, 1, "0.60", **at(9)),
        call("gpt-4o", 1, 1, "0.40", **at(10)),
        call("gpt-4o", 1, 1, "0.70", **at(10), user_id="eve"),
        call("gpt-4o", 1, 1, "0.25", **at(10, 1), user_id="max", request_key="r"),
        call("gpt-4o", 1, 1, "0.30", **at(23), user_id="max", request_key="r"),
        call("gpt-4o", 1, 1, None, **at(23), user_id="eve"),
        call("gpt-4o", 1, 1, "0.99", **at(25)),
        call("gpt-4o", 1, 1, "0.99", at=day, team="support"),
        call("gpt-4o", 1, 1, "5", **{**at(11), "team": "support"}),
    )
    budget = budgets.parse("team=1/day")
    answer = budgets.table([chunk(calls)], budget, "UTC")
    [search] = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert (search["team"], search["requests"], search["refused"], search["periods"]) == ("search", 6, 2, 1)
    assert (search["not_spent_usd"], search["unknown_calls"]) == (Decimal("0.55"), 1)
    assert search["first_reached"] == day + timedelta(hours=10, seconds=1)
    assert search["most_of_them"] == "max (2), eve (1)"
    one = budgets.parse("team:support=5.99/day")
    assert not budgets.table([chunk(calls)], one, "UTC").rows


def test_a_day_is_the_time_zones() -> None:
    """The same two calls are of one day in UTC and of two in New York: there nothing is refused."""
    calls = history(
        call("gpt-4o", 1, 1, "1", at=datetime(2026, 11, 2, 2, tzinfo=UTC), team="x"),
        call("gpt-4o", 1, 1, "1", at=datetime(2026, 11, 2, 12, tzinfo=UTC), team="x"),
    )
    budget = budgets.parse("team=1/day")
    [row] = budgets.table([chunk(calls)], budget, "UTC").rows
    assert row[2] == 1
    assert not budgets.table([chunk(calls)], budget, "America/New_York").rows


@pytest.mark.parametrize("text", ["team=40", "team=/day", "team=1.2.3/day", "planet=4/day", "team=40/hour", ""])
def test_what_is_no_budget_says_so(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(Refused, match="is no budget such as team=40/day"):
        budgets.parse(text)


def test_everything_at_once() -> None:
    """`advise` finds each of them, tenant by tenant, of their own calls only, and nothing that saves nothing."""
    calls = history(
        call("gpt-4o", 1_000_000, 100_000, "3.50", streaming=False, application="a"),
        call("gpt-4o-mini", 1_000_000, 100_000, "0.21"),
        call("big", 1_000_000, 100_000, "15", tenant="u", fallback_from="gpt-4o"),
        call("small", 10, 10, "0.00006", tenant="u", attempt=2, request_key="r"),
    )
    found = {(one.tenant, one.kind, one.subject, one.change): one.saved_usd for one in advise([chunk(calls)], BOOK)}
    assert found == {
        ("t", "model", "gpt-4o", "gpt-4o-mini instead"): Decimal("3.29"),
        ("t", "batch", "a: gpt-4o", "batch API"): Decimal("1.75"),
        ("u", "model", "big", "small instead"): Decimal("13.5"),
        ("u", "fallback", "gpt-4o", "falls back to small"): Decimal("13.5"),
        ("u", "retries", "every model", "at most 0 retries"): Decimal("0.00006"),
    }


@st.composite
def month(draw: st.DrawFn) -> pl.DataFrame:
    """Calls of two days: sessions, retries, fallbacks, several teams; none takes longer than ten minutes, and a request
    is tried again within the hour."""
    made = []
    for number in range(draw(st.integers(1, 25))):
        model = draw(st.sampled_from(["big", "small", "gpt-4o", "gpt-4o-mini"]))
        said = {
            "tenant": draw(st.sampled_from("tu")),
            "team": draw(st.sampled_from(["a", "b", ""])),
            "session_id": draw(st.sampled_from(["", "s"])),
            "application": draw(st.sampled_from(["", "bot"])),
            "streaming": draw(st.sampled_from([True, False, None])),
            "fallback_from": draw(st.sampled_from(["", "", "gpt-4o"])),
            "status": draw(st.sampled_from(["ok", "ok", "error"])),
            "user_id": draw(st.sampled_from(["", "eve", "max"])),
        }
        at = NOON + timedelta(minutes=draw(st.integers(0, 2 * 24 * 60)))
        cost = draw(st.sampled_from([None, "0.02", "0.5", "3"]))
        for attempt in range(1, draw(st.integers(1, 3)) + 1):
            said |= {"request_key": f"r{number}", "attempt": attempt, "at": at + timedelta(minutes=2 * attempt)}
            tokens = draw(st.sampled_from([None, 900, 2_000, 4_000]))
            one = call(model, tokens, draw(st.sampled_from([100, 300])), cost, **said)
            one["ended_at"] = one["started_at"] + timedelta(seconds=draw(st.integers(0, 600)))
            made.append(one)
    return history(*made).sort("started_at", "call_key")


def in_parts(calls: pl.DataFrame, hours: int, prompts: pl.DataFrame) -> list[Chunk]:
    """As `History` cuts it."""
    parts = []
    for start in range(0, 50, hours):
        since = NOON + timedelta(hours=start)
        until = since + timedelta(hours=hours)
        near = calls.filter(pl.col("started_at").is_between(since - AROUND, until + AROUND, closed="left"))
        own = calls.filter(pl.col("started_at").is_between(since, until, closed="left"))
        if own.height:
            known = prompts.join(near, on=["tenant", "call_key"], how="semi")
            parts.append(Chunk(own, until, lambda near=near: near, lambda known=known: known))  # type: ignore[misc]
    return parts


@settings(deadline=None, max_examples=20)
@given(month(), st.integers(1, 30), st.data())
def test_hours_at_a_time_are_the_whole(calls: pl.DataFrame, hours: int, data: st.DataObject) -> None:
    """Whatever stretches a history is read in, advice, what-if and budgets say what they say of all of it at once."""
    some = data.draw(st.lists(st.sampled_from(calls["call_key"].to_list()), unique=True))
    tenants = dict(calls.select("call_key", "tenant").iter_rows())
    cuts = [cut(key, mark, mark * 4_000, 10_000) | {"tenant": tenants[key]} for key in some for mark in (1, 2)]
    prompts = pl.DataFrame(cuts, schema=PROMPTS)
    whole, parts = [chunk(calls, prompts)], in_parts(calls, hours, prompts)
    assert sorted(map(repr, advise(parts, BOOK))) == sorted(map(repr, advise(whole, BOOK)))
    for text in ("team=1/day", "team:a=0.5/week", "user_id=2/month"):
        budget = budgets.parse(text)
        assert budgets.table(parts, budget, "UTC").rows == budgets.table(whole, budget, "UTC").rows
