"""Outlooks of past moments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from forecasting import hindsight, standing
from forecasting.budgets import Budget, month
from forecasting.periods import span

_NOW = datetime(2026, 10, 14, 15, 35, tzinfo=UTC)
_CALLS = """INSERT INTO otel.genai_ledger (call_key, tenant, started_at, posted_at, team, cost_usd, sign)
SELECT concat({name:String}, toString(number)), 'acme', parseDateTime64BestEffort({since:String}, 9, 'UTC')
    + toIntervalSecond(number * 1000) AS at, at, ['search', 'ads'][1 + number % 2],
    toDecimal128(0.1 + number % 7 / 10, 6), 1
FROM numbers({count:UInt32})"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Six weeks of calls up to now."""
    with Store.embedded(tmp_path_factory.mktemp("hindsight")) as opened:
        runner.apply(opened)
        since = _NOW - timedelta(weeks=6)
        count = int(timedelta(weeks=6).total_seconds() // 1000)
        opened.command(_CALLS, {"name": "a", "since": since.isoformat(), "count": count})
        yield opened


def _budgets(now: datetime) -> list[Budget]:
    def budget(name: str, period: str, zone: str, usd: int, **labels: str) -> Budget:
        return Budget(name, "acme", period, zone, span(period, zone, now), "config", labels, hard_usd=Decimal(usd))

    return [
        budget("search", "month", "UTC", 20, team="search"),
        budget("ads", "week", "Asia/Kolkata", 40, team="ads"),
        budget("today", "day", "UTC", 30),
        month("acme", now),
    ]


def test_hindsight_knows_nothing_later(store: Store) -> None:
    """The outlooks of a past moment are those the service wrote then, whatever was called afterwards."""
    midnight = _NOW.replace(hour=0, minute=0)
    hindsight.forecasts(store, _budgets, midnight, _NOW)
    then = standing.rows(store, _budgets(_NOW), _NOW)
    assert all(row["forecast_p50"] for row in then) and any(row["burn_rate"] for row in then)
    store.command(_CALLS, {"name": "b", "since": (_NOW + timedelta(seconds=5)).isoformat(), "count": 3000})
    hindsight.outlooks(store, _budgets, _NOW, _NOW + timedelta(hours=2), timedelta(minutes=5))
    found = store.arrow(
        "SELECT budget, spent_usd, expected_usd, burn_rate, forecast_p10, forecast_p50, forecast_p90, "
        "overrun_probability, exhausted_at, run_id FROM otel.genai_budget WHERE as_of = {now:DateTime('UTC')}",
        {"now": _NOW.strftime("%Y-%m-%d %H:%M:%S")},
    )
    expected = {row["budget"]: row for row in then}
    changed = {row["budget"]: row for row in found.iter_rows(named=True)}
    assert set(changed) == set(expected)
    for name, row in changed.items():
        for column, value in row.items():
            wanted = expected[name][column]
            if isinstance(wanted, datetime):
                assert abs(value - wanted) <= timedelta(seconds=1), (name, column)
            elif isinstance(wanted, float):
                assert value == pytest.approx(wanted, rel=1e-9), (name, column)
            else:
                assert value == wanted, (name, column)


def test_hindsight_says_what_is_new(store: Store) -> None:
    """Every budget is written each hour, in between only where money was spent, each row at its own moment."""
    rows = store.arrow("SELECT budget, as_of, computed_at, spent_usd FROM otel.genai_budget ORDER BY budget, as_of")
    assert rows.filter(rows["as_of"] != rows["computed_at"].dt.cast_time_unit("ms")).is_empty()
    for (_,), mine in rows.partition_by("budget", as_dict=True).items():
        gaps = mine["as_of"].diff().drop_nulls()
        assert gaps.max() <= timedelta(hours=1)
        assert mine["spent_usd"].is_sorted()
