"""The ledger's join: one call, one charge, whatever the order, repetition or split of what is observed."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.contract import LEDGER_SCHEMA
from processors.post import collapse, handles, post
from tests.unit.processors.worlds import Call, frame, observations_of, worlds

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def free(calls: pl.DataFrame) -> pl.DataFrame:
    """A price book that knows nothing."""
    return calls


class Ledger:
    """The ledger table, in memory, asked as the writer asks it."""

    def __init__(self) -> None:
        self.entries = pl.DataFrame(schema=LEDGER_SCHEMA)

    def post(self, observations: pl.DataFrame) -> None:
        wanted = handles(observations)
        found = self.entries.filter(pl.col("handles").list.eval(pl.element().is_in(wanted)).list.any())
        self.entries = pl.concat([self.entries, post(observations, found, free, NOW)])

    def standing(self) -> pl.DataFrame:
        return collapse(self.entries).sort("call_key")

    def total(self, column: str) -> int:
        signed = self.entries.select((pl.col(column).cast(pl.Int64) * pl.col("sign").cast(pl.Int64)).sum())
        return int(signed.item() or 0)


def truth(calls: list[Call], column: int) -> int:
    return sum(call.tokens[column] for call in calls if not call.failed)


def content(ledger: Ledger) -> list[dict[str, object]]:
    return ledger.standing().drop("posted_at", "version", "said").to_dicts()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.data())
def test_any_order_repetition_and_split_gives_the_truth(calls: list[Call], data: st.DataObject) -> None:
    """However the observations arrive, the ledger ends with exactly the physical calls and never shows more."""
    rows = observations_of(calls)
    repeated = rows + data.draw(st.lists(st.sampled_from(rows), max_size=3))
    order = data.draw(st.permutations(repeated))
    ledger = Ledger()
    while order:
        size = data.draw(st.integers(1, len(order)))
        ledger.post(frame(order[:size]))
        order = order[size:]
        assert ledger.standing().height <= len(calls)
        assert ledger.total("input_tokens") <= truth(calls, 0)
    assert ledger.standing().height == len(calls)
    assert ledger.total("input_tokens") == truth(calls, 0)
    assert ledger.total("output_tokens") == truth(calls, 1)
    at_once = Ledger()
    at_once.post(frame(rows))
    assert content(ledger) == content(at_once)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_posting_again_changes_nothing(calls: list[Call]) -> None:
    """A resent export posts no entry."""
    ledger = Ledger()
    ledger.post(frame(observations_of(calls)))
    before = ledger.entries.height
    ledger.post(frame(observations_of(calls)))
    assert ledger.entries.height == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_both_sides_meet_on_one_row(calls: list[Call]) -> None:
    """A call seen by its client and by the gateway carries the client's application and the gateway's team."""
    ledger = Ledger()
    for row in observations_of(calls):
        ledger.post(frame([row]))
    both = [call for call in calls if {"gateway", "client"} <= call.seen_by]
    met = ledger.standing().filter((pl.col("application") == "shop") & (pl.col("team") == "search"))
    assert met.height >= len(both)


def test_a_log_record_after_a_cache_hit_does_not_tie_it_to_the_next() -> None:
    """A client's log comes within a minute of the hit before; when its own hit arrives, it means that one alone."""
    seen = {
        0: "gateway client wrapper raw",
        1: "gateway client wrapper",
        2: "gateway client wrapper twin framework event",
    }
    calls = [
        Call(number, 0, 10 * number, (25, 12), False, 0 if number else None, frozenset(by.split()))
        for number, by in seen.items()
    ]
    rows = observations_of(calls)
    late = [row for row in rows if row["call_id"] and str(row["call_id"]).startswith("00000002")]
    ledger, at_once = Ledger(), Ledger()
    for part in ([row for row in rows if row not in late], *([row] for row in late)):
        ledger.post(frame(part))
    at_once.post(frame(rows))
    assert ledger.standing().height == 3
    assert content(ledger) == content(at_once)
