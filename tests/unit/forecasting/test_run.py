"""From rollups to rows of `genai_forecast`, on the real engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from clickhouse_schema.store import Store
from forecasting import results, rollups
from forecasting import run as running
from forecasting.forecast import Wish
from forecasting.frequency import DAY, HOUR

_AS_OF = datetime(2026, 11, 16, tzinfo=UTC)
_DAYS = """INSERT INTO otel.genai_rollup_day (bucket, tenant, team, model, calls, cost_usd)
SELECT toDateTime('2026-11-16 00:00:00', 'UTC') - toIntervalDay(1 + number % 90) AS bucket, 'acme',
    ['search', 'support', 'research'][1 + intDiv(number, 90)] AS team, 'gpt', 10,
    (5 + toDayOfWeek(bucket) + number % 5) * (1 + intDiv(number, 90)) AS cost_usd
FROM numbers(270)"""


@pytest.fixture
def acme(store: Store) -> Store:
    """Three teams of ninety days each."""
    store.command(_DAYS)
    return store


def _asked(axis: str = "team") -> rollups.Question:
    return rollups.question(_AS_OF + timedelta(hours=7), axis, "cost_usd", DAY)


def test_series_are_what_the_rollup_adds_up_to(acme: Store) -> None:
    """Teams come largest first, gapless up to the day before; the total is their sum; nothing of today is read."""
    acme.command(
        "INSERT INTO otel.genai_rollup_day (bucket, tenant, team, calls, cost_usd) VALUES "
        "(toDateTime('2026-11-16 00:00:00', 'UTC'), 'acme', 'search', 1, 1e6)"
    )
    wanted = rollups.keys(acme, _asked())
    assert [key.value for key in wanted] == ["research", "support", "search"]
    teams = list(rollups.series(acme, _asked(), wanted))
    total = list(rollups.series(acme, _asked("total"), rollups.keys(acme, _asked("total"))))
    assert [len(one.values) for one in (*teams, *total)] == [90] * 4
    assert {one.end for one in teams} == {_AS_OF}
    assert np.allclose(sum(one.values for one in teams), total[0].values)


def test_silence_of_one_team_is_zero_and_silence_of_all_is_unknown(acme: Store) -> None:
    """A team's day without calls is 0 dollars; a day on which nobody's calls arrived is not known."""
    acme.command("ALTER TABLE otel.genai_rollup_day DELETE WHERE bucket = '2026-11-01' SETTINGS mutations_sync = 1")
    acme.command(
        "ALTER TABLE otel.genai_rollup_day DELETE WHERE bucket = '2026-11-04' AND team = 'search' "
        "SETTINGS mutations_sync = 1"
    )
    search = list(rollups.series(acme, _asked(), rollups.keys(acme, _asked())))[-1]
    assert np.isnan(search.values[-15]) and search.unknown == 1
    assert search.values[-12] == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stores_every_step_of_every_series(acme: Store, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process or in others: all rows are there, in order, with errors, and only one per bucket."""
    monkeypatch.setattr(running, "_BATCH", 2)
    outcome = running.run(acme, _asked(), Wish(35), workers=workers)
    assert (outcome.series, outcome.earlier, outcome.failed) == (3, 0, {})
    rows = acme.arrow("SELECT * FROM otel.genai_forecast FINAL ORDER BY value, bucket")
    assert rows.height == 3 * 35
    assert set(rows["run_id"]) == {outcome.run_id}
    assert rows["as_of"].unique().to_list() == [_AS_OF]
    assert rows["bucket"].min() == _AS_OF
    assert (rows["bucket"].dt.epoch("s") == rows["as_of"].dt.epoch("s") + 86400 * (rows["horizon"] - 1)).all()
    assert (rows["lo95"] <= rows["lo80"]).all() and (rows["hi50"] <= rows["hi80"]).all() and (rows["lo95"] >= 0).all()
    assert rows["mase"].null_count() == rows["coverage80"].null_count() == 0


def test_a_run_that_was_cut_goes_on(acme: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored when Ctrl-C comes is not computed again; the rest is, and nothing twice."""
    monkeypatch.setattr(running, "_BATCH", 1)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run(acme, _asked(), Wish(35), workers=1, progress=interrupt)
    first = acme.arrow("SELECT DISTINCT run_id, value FROM otel.genai_forecast")
    assert first.height == 2
    again = running.run(acme, _asked(), Wish(35), workers=1)
    assert (again.earlier, len(again.forecasts)) == (2, 1)
    assert acme.command("SELECT count() FROM otel.genai_forecast") == "105"
    assert running.run(acme, _asked(), Wish(35), workers=1).forecasts == []


def test_a_longer_horizon_is_computed_again(acme: Store) -> None:
    """A stored forecast that does not reach far enough does not count as done."""
    running.run(acme, _asked("total"), Wish(7), workers=1)
    assert results.done(acme, _asked("total"), 7) and not results.done(acme, _asked("total"), 8)


def test_only_known_axes_and_metrics_reach_sql() -> None:
    """Axis and metric are names from a list, or the question is refused with that list."""
    for axis, metric in (("team; DROP", "cost_usd"), ("team", "nonsense")):
        with pytest.raises(ValueError, match="one of"):
            rollups.question(_AS_OF, axis, metric, HOUR)
