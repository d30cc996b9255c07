"""Budgets on the real engine: what is spent, whose limits there are, how a period will end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema.store import Store
from forecasting import gateway, periods, results, standing
from forecasting.budgets import Budget, combined, month
from forecasting.frequency import DAY
from forecasting.futures import Stored
from forecasting.periods import Span
from forecasting.series import Key
from forecasting.spending import Spending, spending

_NOW = datetime(2026, 11, 11, 14, 30, tzinfo=UTC)
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo")


@pytest.fixture
def ledger(store: Store) -> Store:
    """The store without calls, limits and outlooks."""
    for table in ("genai_ledger", "genai_limits", "genai_budget"):
        store.command(f"TRUNCATE TABLE otel.{table}")
    return store


def _budget(span: Span, limit: str = "100", **said: Any) -> Budget:
    plain: dict[str, Any] = {"name": "b", "tenant": "acme", "period": "month", "timezone": "UTC", "source": "config"}
    return Budget(span=span, hard_usd=Decimal(limit), **(plain | said))


@given(
    st.sampled_from(periods.CALENDAR), st.sampled_from(_ZONES), st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1))
)
def test_periods_tile_time(period: str, timezone: str, at: datetime) -> None:
    """Every moment lies in its period, the next one begins where it ends, and it begins at the local midnight."""
    now = at.replace(tzinfo=UTC)
    span = periods.span(period, timezone, now)
    assert span.start <= now < span.end
    assert periods.span(period, timezone, span.end).start == span.end
    before = span.start - timedelta(seconds=1)
    zone = ZoneInfo(timezone)
    assert before.astimezone(zone).date() < span.start.astimezone(zone).date()


def test_a_local_day_has_23_24_or_25_hours() -> None:
    """In Berlin the day the clocks go back is an hour longer, the one they go forward an hour shorter."""
    lengths = [
        periods.span("day", "Europe/Berlin", datetime(2026, month, day, 12, tzinfo=UTC)).length / timedelta(hours=1)
        for month, day in ((3, 29), (6, 1), (10, 25))
    ]
    assert lengths == [23, 24, 25]
    whole = periods.days(datetime(2026, 10, 24).date(), datetime(2026, 10, 26).date(), "Europe/Berlin")
    assert whole == Span(datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 26, 23, tzinfo=UTC))


def _call(store: Store, calls: list[tuple[datetime, str, str]]) -> None:
    """Calls as entries of the ledger, which the rollups follow."""
    rows = ", ".join(
        f"('k{number}', 'acme', toDateTime64({at.timestamp():.3f}, 9, 'UTC'), '{team}', '{cost}', 1)"
        for number, (at, team, cost) in enumerate(calls)
    )
    store.command(
        f"INSERT INTO otel.genai_ledger (call_key, tenant, started_at, team, cost_usd, sign) "
        f"SELECT c1, c2, c3, c4, toDecimal128(c5, 12), c6 FROM values({rows})"
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(-3 * 86_400, 3 * 86_400), st.sampled_from(["search", "support"]), st.integers(0, 10**14)),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(_ZONES),
    st.sampled_from(["day", "week", "month"]),
)
def test_spent_is_what_the_ledger_says(
    ledger: Store, made: list[tuple[int, str, int]], timezone: str, period: str
) -> None:
    """To the last decimal: the calls in the period, also where it begins and ends at half past an hour; no others."""
    for table in ("genai_ledger", "genai_rollup_hour"):
        ledger.command(f"TRUNCATE TABLE otel.{table}")
    span = periods.span(period, timezone, _NOW)
    edges = [
        (span.start, "search", "0.000000000001"),
        (span.end, "search", "7"),
        (span.end - timedelta(seconds=1), "search", "2"),
    ]
    calls = edges + [(_NOW + timedelta(seconds=s), team, str(Decimal(cost).scaleb(-12))) for s, team, cost in made]
    _call(ledger, calls)
    for labels in ({}, {"team": "search"}):
        wanted = sum(
            (
                Decimal(cost)
                for at, team, cost in calls
                if span.start <= at < span.end and team in (labels or {"team": team}).values()
            ),
            Decimal(0),
        )
        assert spending(ledger, _budget(span, labels=labels)).total == wanted


def _stored(middle: float = 10.0, days: int = 40, spread: float = 2.0) -> Stored:
    steps = np.full(days, middle)
    return Stored(
        Key("acme", "cost_usd", "total", ""), "run", DAY, _NOW.replace(hour=0, minute=0), steps,
        steps + spread * 0.6745, steps + spread * 1.2816, steps + spread * 1.96, 0.3, 0.5,
    )  # fmt: skip


_MONTH = periods.span("month", "UTC", _NOW)
_SPENT = Spending(Decimal("105.5"), _MONTH.start - timedelta(weeks=8), np.full((56 + 30) * 24, 10 / 24))


def _standing(budget: Budget, spent: Spending, stored: Stored | None, now: datetime) -> dict[str, Any]:
    return standing.row(budget, spent, standing.view(budget, spent, stored, now), now)


def _row(limit: str, stored: Stored | None = None, spent: Spending = _SPENT) -> dict[str, Any]:
    return _standing(_budget(_MONTH, limit), spent, stored or _stored(), _NOW)


@given(st.lists(st.decimals(100, 600, places=2), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_the_more_money_the_less_likely_an_overrun(limits: list[Decimal]) -> None:
    """The probability falls, and the day the money is gone comes later, as the limit rises."""
    found = [_row(str(limit)) for limit in sorted(limits)]
    chances = [row["overrun_probability"] for row in found]
    assert chances == sorted(chances, reverse=True)
    dates = [row["exhausted_at"] or _MONTH.end for row in found]
    assert dates == sorted(dates)


def test_a_period_ends_where_spending_and_forecast_add_up() -> None:
    """105.50 spent, and 19.4 days of about 10 to come: the median is 300, ordered quantiles are around it."""
    row = _row("301")
    left = (_MONTH.end - _NOW) / timedelta(days=1)
    assert row["forecast_p50"] == pytest.approx(105.5 + 10 * left, rel=0.01)
    assert row["forecast_p10"] < row["forecast_p50"] < row["forecast_p90"]
    assert row["totals_usd"] == sorted(row["totals_usd"]) and len(row["levels"]) == len(row["totals_usd"])
    assert 0.2 < row["overrun_probability"] < 0.8
    sure = _row("150", _stored(spread=0.0))
    assert sure["overrun_probability"] == 1
    assert sure["exhausted_at"] == sure["exhausted_earliest"] == sure["exhausted_latest"]
    # 44.50 are left: the rest of today (3.96), then four days and a bit
    assert sure["exhausted_at"] == pytest.approx(_NOW + timedelta(days=4.45), abs=timedelta(minutes=2))


def test_what_is_gone_is_gone_since_then() -> None:
    """A limit that was passed was passed at that hour, with certainty, and needs no forecast."""
    budget = _budget(_MONTH, "50")
    for stored in (None, _stored()):
        row = _standing(budget, _SPENT, stored, _NOW)
        assert row["overrun_probability"] == 1
        assert row["exhausted_at"] == _MONTH.start + timedelta(days=5)
    assert row["forecast_p50"] is not None
    assert _standing(budget, _SPENT, None, _NOW)["forecast_p50"] is None


def test_without_a_forecast_nothing_is_foreseen() -> None:
    """No forecast, or one that ends before the period: spent is told, the rest is unknown, not 0."""
    for stored in (None, _stored(days=10)):
        row = _standing(_budget(_MONTH, "500"), _SPENT, stored, _NOW)
        assert row["spent_usd"] == Decimal("105.5")
        assert row["overrun_probability"] is None and row["forecast_p50"] is None and row["exhausted_at"] is None
        assert row["totals_usd"] == []


def _nightly(extra: float = 0.0) -> Spending:
    """Eight weeks and a day: 10 dollars at two o'clock each night, nothing else but ``extra`` this afternoon."""
    span = periods.span("day", "UTC", _NOW)
    hours = np.zeros(57 * 24)
    hours[2::24] = 10.0
    hours[56 * 24 + 13] += extra
    return Spending(Decimal(int(hours[56 * 24 :].sum())), span.start - timedelta(weeks=8), hours)


def test_a_nightly_batch_is_no_burn_and_an_afternoon_is() -> None:
    """After the batch of a day whose budget is the batch, everything planned is spent (rate 1) and nothing is ahead;
    the same money once more in the afternoon is a rate of 2, and in the night's hour half of it is planned half-way."""
    budget = _budget(periods.span("day", "UTC", _NOW), "10", period="day")
    quiet, loud = (_standing(budget, _nightly(extra), None, _NOW) for extra in (0.0, 10.0))
    assert quiet["burn_rate"] == pytest.approx(1) and quiet["expected_usd"] == pytest.approx(10)
    assert loud["burn_rate"] == pytest.approx(2)
    inside = _standing(budget, _nightly(), None, _NOW.replace(hour=2, minute=30))
    assert inside["expected_usd"] == pytest.approx(5)


def test_days_are_divided_as_the_week_is() -> None:
    """At half past two in the afternoon a nightly batch's day is over: nothing of today's forecast is still to come."""
    week = np.zeros(168)
    week[2::24] = 1.0
    ahead = _stored(spread=0.0).hourly(week, _NOW, _MONTH.end, 4)
    assert ahead[:, :12].sum() == pytest.approx(0)
    assert ahead[0].sum() == pytest.approx(10 * 19)


def test_futures_have_the_stored_intervals() -> None:
    """Four fifths of the futures of a step lie within its 80 % interval, and 95 % within the other one."""
    stored = _stored(middle=50)
    paths = stored.paths(4000)
    for high, share in ((stored.high80, 0.8), (stored.high95, 0.95)):
        inside = (np.abs(paths - stored.middle) <= high - stored.middle).mean()
        assert inside == pytest.approx(share, abs=0.03)


def _limit(store: Store, rows: list[tuple[datetime, str, str, float | None, float | None, datetime | None]]) -> None:
    for seen, scope, name, most, spent, reset in rows:
        values = {
            "observed_at": seen, "tenant": "acme", "scope": scope, "id": f"{name}-id", "alias": name,
            "trace_id": "t", "span_id": "s", "reset_at": reset,
            "max_budget_usd": None if most is None else Decimal(str(most)),
            "spend_usd": None if spent is None else Decimal(str(spent)),
        }  # fmt: skip
        frame = _limits_frame(values)
        results.write(store, frame, f"{name}/{seen.isoformat()}", "genai_limits")


def _limits_frame(values: dict[str, Any]) -> pl.DataFrame:
    from clickhouse_schema.tables import LANDING

    known = dict.fromkeys(LANDING["genai_limits"]) | values
    return pl.DataFrame([known], schema=LANDING["genai_limits"], orient="row")


def test_budgets_of_the_gateway(ledger: Store) -> None:
    """Without configuration: the newest limit of each key, user and team, its period from the reset, its own count."""
    first, reset = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    day = datetime(2026, 11, 12, tzinfo=UTC)
    _limit(
        ledger,
        [
            (first, "key", "monthly", 5, 0.5, reset),
            (_NOW - timedelta(minutes=9), "key", "monthly", 6, 4.25, reset),
            (_NOW - timedelta(days=1), "key", "daily", 1, 0.9, day - timedelta(days=1)),
            (_NOW - timedelta(hours=1), "key", "daily", 1, 0.25, day),
            (_NOW - timedelta(days=3), "team", "eternal", 100, 20, None),
            (_NOW, "user", "unlimited", None, 20, None),
            (_NOW - timedelta(days=50), "key", "forgotten", 1, 1, None),
        ],
    )
    found = {one.name: one for one in gateway.budgets(ledger, _NOW, 10)}
    assert set(found) == {"monthly", "daily", "eternal"}
    monthly, daily, eternal = found["monthly"], found["daily"], found["eternal"]
    assert (monthly.period, monthly.span, monthly.limit) == ("month", _MONTH, Decimal(6))
    assert monthly.counted is not None and monthly.counted.usd == Decimal("4.25")
    assert monthly.labels == {"api_key_hash": "monthly-id"} and monthly.source == "gateway"
    assert (daily.period, daily.span) == ("day", Span(day - timedelta(days=1), day))
    assert (eternal.period, eternal.labels) == ("lifetime", {"team_id": "eternal-id"})
    assert eternal.span.start == _NOW - timedelta(days=3) and eternal.span.end > _NOW + timedelta(days=34)
    assert [one.name for one in gateway.budgets(ledger, _NOW, 1)] == ["monthly"]


def test_a_gateway_count_ends_with_its_period(ledger: Store) -> None:
    """After a reset nobody has told of, the next period has begun and the old count is none."""
    _limit(ledger, [(datetime(2026, 10, 4, tzinfo=UTC), "key", "m", 5, 4.9, datetime(2026, 11, 1, tzinfo=UTC))])
    (found,) = gateway.budgets(ledger, _NOW, 10)
    assert (found.period, found.span, found.counted) == ("month", _MONTH, None)


@given(st.integers(1, 3000), st.integers(0, 10**6))
def test_periods_of_a_gateway_roll_on(hours: int, later: int) -> None:
    """A period of any length that is over is followed by the one of the same length that now lies in."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = Span(start, start + timedelta(hours=hours))
    now = start + timedelta(minutes=later)
    span = gateway.rolled(first, now)
    assert span.start <= now < span.end and span.length == first.length
    assert (span.start - start) % first.length == timedelta(0)


def test_the_configuration_wins_and_names_are_kept_apart() -> None:
    """What both cover is the configuration's; aliases that are taken are told apart; each tenant has a month."""
    mine = _budget(_MONTH, name="search", labels={"team_id": "t1"})
    same = _budget(_MONTH, name="other", labels={"team_id": "t1"}, source="gateway")
    key = _budget(_MONTH, name="search", labels={"api_key_hash": "k1"}, source="gateway")
    found = combined([mine], [same, key], ["acme", "acme"], _NOW)
    assert [one.name for one in found] == ["search", "search (api_key_hash=k1)", "month"]
    assert found[-1] == month("acme", _NOW) and found[-1].limit is None


def test_rows_become_rows_of_the_table(ledger: Store) -> None:
    """A budget of a busy team is written and read back, and written again only when it says something new."""
    _call(ledger, [(_NOW - timedelta(hours=h), "search", "0.25") for h in range(1, 49)])
    span = periods.span("week", "UTC", _NOW)
    wanted = [_budget(span, "20", labels={"team": "search"}, owner="ana"), month("acme", _NOW)]
    found = standing.rows(ledger, wanted, _NOW)
    results.write(ledger, standing.frame(found, _NOW, _NOW), "budgets/1", standing.TABLE)
    back = ledger.arrow("SELECT * FROM otel.genai_budget ORDER BY budget").to_dicts()
    assert [row["budget"] for row in back] == ["b", "month"]
    assert back[0]["spent_usd"] == Decimal(12) and back[0]["hard_usd"] == Decimal(20)
    assert dict(back[0]["labels"]) == {"team": "search"} and back[0]["owner"] == "ana"
    assert back[1]["hard_usd"] is None and back[1]["burn_rate"] is None and back[1]["source"] == "outlook"
    before = {(row["tenant"], row["budget"]): row for row in found}
    assert standing.changed(standing.rows(ledger, wanted, _NOW), before) == []
    _call(ledger, [(_NOW, "support", "1")])
    assert [row["budget"] for row in standing.changed(standing.rows(ledger, wanted, _NOW), before)] == ["month"]
