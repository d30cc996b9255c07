"""A comparison day by day is the comparison."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from otel_exporter.agreement import litellm
from otel_exporter.agreement.difference import differences, pairs, together
from otel_exporter.agreement.sides import OURS, SIDE
from processors.contract import MONEY

BEGIN = datetime(2026, 11, 2, tzinfo=UTC)
END = BEGIN + timedelta(days=3, hours=7)
_CALL = st.tuples(
    st.integers(-30, 79 * 60 + 30),  # minutes after the beginning
    st.integers(-3_000, 3_000),  # seconds that our clock is off
    st.sampled_from(["theirs", "ours", "both", "both"]),
    st.sampled_from(["search", "ads"]),
    st.sampled_from(["0.01", "0.02"]),
    st.booleans(),
)


def _side(side: list[dict[str, object]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(side, schema=schema | {"usd": pl.String}).with_columns(pl.col("usd").cast(MONEY))  # type: ignore[operator]


@settings(deadline=None)
@given(st.lists(_CALL, max_size=30))
def test_days_add_up_to_the_whole(calls: list[tuple[int, int, str, str, str, bool]]) -> None:
    """Whatever differs, also across midnight: the cells of the days together are those of all at once."""
    theirs, ours = [], []
    for number, (minute, off, where, team, usd, hit) in enumerate(calls):
        at = BEGIN + timedelta(minutes=minute)
        call = {"key": f"id:{number}", "started_at": at, "team": team, "api_key": "k", "model": "m", "usd": usd}
        if where != "ours":
            theirs.append(call | {"hit": hit})
        if where != "theirs":
            own = {"call": str(number), "started_at": at + timedelta(seconds=off), "gateway": True, "imported": False}
            ours.append(call | own | {"team": "search", "usd": "0.01", "hit": False})
    sides = _side(theirs, SIDE), _side(ours, OURS)

    def within(side: pl.DataFrame, since: datetime, until: datetime) -> pl.DataFrame:
        return side.filter(pl.col("started_at").is_between(since, until, closed="left"))

    hour = timedelta(hours=1)
    booked, held = (within(side, BEGIN - hour, END + hour) for side in sides)
    whole = differences(pairs(booked, held, BEGIN, END))
    cut = ([within(side, *day) for day in litellm._days(BEGIN, END, hour)] for side in sides)
    days = zip(litellm._days(BEGIN, END), *map(litellm._neighbours, map(iter, cut)), strict=True)
    found = together(differences(pairs(theirs_of, ours_of, *day)) for day, theirs_of, ours_of in days)
    assert_frame_equal(found, whole)


def test_nothing_to_compare() -> None:
    """A period that has hardly begun has no cells."""
    assert together([]).is_empty()
