"""Look-ups by handle, and the view of calls as they stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clickhouse_schema.store import Store
from processors.contract import LEDGER_SCHEMA
from tests.unit.clickhouse_schema import rows
from tests.unit.clickhouse_schema.conftest import Put

MORNING = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def _entry(key: str, *, at: datetime = MORNING, **said: Any) -> dict[str, Any]:
    moment = int(at.timestamp()) * 10**9
    defaults = {"call_key": key, "tenant": "t", "handles": [key, f"trace:{key}"], "started_at": moment}
    return rows.plain("genai_ledger", **(defaults | said))


def _ledger(*entries: dict[str, Any]) -> pl.DataFrame:
    return rows.frame("genai_ledger", list(entries))


def _found(store: Store, handles: list[str], since: datetime | None = None, until: datetime | None = None) -> list[str]:
    return sorted(store.ledger_entries("t", handles, since, until)["call_key"])


def test_any_handle_finds_the_entry_as_it_was_posted(store: Store, put: Put) -> None:
    """By key or by trace, with every column, reversals too, nothing collapsed."""
    said = [{"model": "m", "": "ü"}, {}]
    entry = _ledger(_entry("a", said=said, cost_usd=Decimal("0.000000000001"), status="error"))
    reversal = entry.with_columns(sign=pl.lit(-1, pl.Int8))
    store.command("SYSTEM STOP MERGES otel.genai_ledger")
    put("genai_ledger", entry)
    put("genai_ledger", reversal)
    for handle in ("a", "trace:a"):
        found = store.ledger_entries("t", [handle, "unknown"], None, None)
        assert_frame_equal(found.sort("sign", descending=True), pl.concat([entry, reversal]))
    store.command("SYSTEM START MERGES otel.genai_ledger")


@pytest.mark.parametrize("count", [1, 500, 40_000])
def test_many_handles_find_each_entry_once(store: Store, put: Put, count: int) -> None:
    """Short lists and lists of tens of thousands take different roads to the same answer."""
    put("genai_ledger", _ledger(*(_entry(f"call-{number}") for number in range(20))))
    others = [f"response:{number:064}" for number in range(count)]
    assert _found(store, ["call-3", "trace:call-3", "trace:call-7", *others]) == ["call-3", "call-7"]
    assert _found(store, others) == []


def test_no_handles_no_entries(store: Store) -> None:
    """Nothing is asked, and the answer still has its columns."""
    assert store.ledger_entries("t", [], None, None).schema == LEDGER_SCHEMA


def test_tenants_do_not_meet(store: Store, put: Put) -> None:
    """The same handle of another tenant is another call."""
    put("genai_ledger", _ledger(_entry("a", tenant="other")))
    assert _found(store, ["a"]) == []


def test_hours_bound_the_search_on_both_sides(store: Store, put: Put) -> None:
    """Whole hours, both ends included; an open end is open."""
    put(
        "genai_ledger",
        _ledger(*(_entry(f"h{hour}", at=MORNING + timedelta(hours=hour, minutes=59)) for hour in range(4))),
    )
    handles = [f"h{hour}" for hour in range(4)]
    inside = (MORNING + timedelta(hours=1, minutes=30), MORNING + timedelta(hours=2))
    assert _found(store, handles, *inside) == ["h1", "h2"]
    assert _found(store, handles, since=inside[0]) == ["h1", "h2", "h3"]
    assert _found(store, handles, until=inside[1]) == ["h0", "h1", "h2"]


def test_hostile_handles_are_only_texts(store: Store, put: Put) -> None:
    """Handles come from payloads: quotes, blank lines and SQL in them find exactly themselves."""
    hostile = "'); DROP TABLE otel.genai_ledger --\n\n\\ {x:String} $given"
    put("genai_ledger", _ledger(_entry(hostile), _entry("b")))
    assert _found(store, [hostile]) == [hostile]


def test_the_view_shows_each_call_as_it_stands(store: Store, put: Put) -> None:
    """A reversal takes its entry away and the new entry stands, before and after merging; sums agree always."""
    put("genai_ledger", _ledger(_entry("a", version=1, team="old", cost_usd=Decimal(2)), _entry("b", version=9)))
    put("genai_ledger", _ledger(_entry("a", version=1, team="old", cost_usd=Decimal(2), sign=-1),
                                _entry("a", version=2, team="new", cost_usd=Decimal(5))))  # fmt: skip
    put("genai_ledger", _ledger(_entry("b", version=9, sign=-1)))
    for _ in range(2):
        assert store.arrow("SELECT call_key, team, cost_usd FROM genai_calls").rows() == [("a", "new", Decimal(5))]
        assert store.arrow("SELECT sum(cost_usd * sign) FROM genai_ledger").item() == Decimal(5)
        store.command("OPTIMIZE TABLE otel.genai_ledger FINAL")


def test_filters_of_the_view_do_not_resurrect_what_was_reversed(store: Store, put: Put) -> None:
    """A filter that matches only the old entry, or only its reversal, finds nothing."""
    put("genai_ledger", _ledger(_entry("a", version=1, team="old", trace_id="11")))
    put("genai_ledger", _ledger(_entry("a", version=1, team="old", trace_id="11", sign=-1), _entry("a", version=2)))
    for condition in ("team = 'old'", "trace_id = '11'", "call_key = 'a' AND team = 'old'"):
        assert store.command(f"SELECT count() FROM genai_calls WHERE {condition}") == "0"


def test_the_view_reads_only_the_hours_it_is_asked_for(store: Store, put: Put) -> None:
    """A filter on started_at reaches the partition and the primary key through FINAL."""
    put("genai_ledger", _ledger(_entry("old", at=MORNING - timedelta(days=60)), _entry("new")))
    explained = store.raw(
        "EXPLAIN indexes = 1 SELECT * FROM genai_calls WHERE started_at >= '2026-11-20 00:00:00'", "TSVRaw"
    )
    assert b"Parts: 1/2" in explained
    assert b"toStartOfHour(started_at)" in explained
