"""From calls in the store to rows of `genai_anomaly`, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from clickhouse_schema.store import Store
from forecasting.anomalies.detect import Detector, detect
from forecasting.anomalies.policy import Policy
from otel_exporter.assembly import assembled
from otel_exporter.commit import Request
from otel_exporter.config.tree import Settings, StoreSettings
from otel_exporter.demo import exports
from otel_exporter.demo.history import calls
from processors.batch import Signal

#: The demo's four weeks end here; its runaway afternoon is of Wednesday the 18th or Thursday the 19th.
_LAST = datetime(2026, 11, 21, 7, tzinfo=UTC)
_DAYS = 28
_POLICY = Policy()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with the demo's history, posted as `serve` posts it."""
    directory = tmp_path_factory.mktemp("demo")
    history = [(call, None) for call in calls(_LAST, _DAYS)]
    with assembled(Settings(store=StoreSettings(data_dir=directory))) as parts:
        requests = [Request(Signal.TRACES, "DEMO", body) for body in exports.traces(history)]
        assert not any(parts.commit.commit(requests).values())
        assert parts.writer.drain(60)
    with Store.embedded(directory) as store:
        yield store


@pytest.fixture
def store(demo: Store) -> Store:
    """The same without incidents."""
    demo.command("TRUNCATE TABLE otel.genai_anomaly")
    return demo


def _stored(store: Store) -> pl.DataFrame:
    return store.arrow("SELECT * FROM otel.genai_anomaly FINAL ORDER BY started_at, incident_id")


def test_the_runaway_afternoon_is_found_with_its_cause_and_nothing_else_is_critical(store: Store) -> None:
    """Over the demo's four weeks the one critical incident is support's surge of calls, in its hours, with
    team=support as the whole cause and what it cost; the total does not repeat it."""
    detect(store, _LAST, _POLICY, since=_LAST - timedelta(days=_DAYS))
    rows = _stored(store)
    (incident,) = rows.filter(pl.col("severity") == "critical").iter_rows(named=True)
    assert (incident["tenant"], incident["metric"]) == ("DEMO", "calls")
    assert (incident["axis"], incident["value"]) == ("team", "support")
    assert (incident["contributors.axis"][0], incident["contributors.value"][0]) == ("team", "support")
    assert {"ana", "ben", "gpt-4o-mini"} < set(incident["contributors.value"])
    assert incident["started_at"].hour == 14 and incident["ended_at"] - incident["started_at"] == timedelta(hours=4)
    assert timedelta(days=1) < _LAST - incident["started_at"] < timedelta(days=3)
    assert incident["observed"] >= 50 and incident["expected"] < 10 and incident["hi"] < 25
    assert incident["impact_usd"] > 0
    assert rows.height <= 3


def test_hour_by_hour_it_stays_one_incident_and_a_rerun_writes_nothing(store: Store) -> None:
    """A detector that runs every hour writes the same incident again as it grows and closes it when it is over;
    a new one over the same data finds the same and writes nothing."""
    begin = (_LAST - timedelta(days=1)).replace(hour=14)
    begin -= timedelta(days=1) if begin > _LAST - timedelta(days=1) else timedelta(0)
    detector = Detector(_POLICY)
    found = [detector(store, begin + timedelta(hours=h, minutes=30)) for h in range(-1, 8)]
    critical = [[one for one in outcome.incidents if one.severity == "critical"] for outcome in found]
    assert not critical[0] and len({one.incident_id for run in critical for one in run}) == 1
    assert [run[0].ended_at is None for run in critical[1:]] == [True] * 5 + [False] * 3
    again = Detector(_POLICY)(store, begin + timedelta(hours=7, minutes=30))
    assert again.written == 0 and again.incidents == found[-1].incidents


_CALL = """INSERT INTO otel.genai_ledger (call_key, tenant, started_at, session_id, team, user_id, model, status,
    input_tokens, cost_usd, version, sign)
SELECT concat({name:String}, toString(number)), 'acme',
    {since:DateTime('UTC')} + toIntervalSecond(number * {every:UInt32}),
    {name:String}, 'coders', 'noa', 'opus', 'ok', {input:UInt32}, {cost:Float64}, 1, 1
FROM numbers({count:UInt32})"""


def _session(store: Store, name: str, since: datetime, every: int, count: int, cost: float) -> None:
    given = {"name": name, "since": since.strftime("%Y-%m-%d %H:%M:%S"), "every": every, "count": count, "cost": cost}
    store.command(_CALL, {**given, "input": 4000})


def test_a_runaway_session_is_found_within_minutes_and_ends_when_it_stops(store: Store) -> None:
    """An agent that repeats a dear prompt every ten seconds is critical within ten minutes of its start, with its
    team and user as the cause; it stays one incident, is closed an hour after its last call, and a cheap loop beside
    it is none."""
    begin = datetime(2026, 11, 21, 9, tzinfo=UTC)
    _session(store, "loop", begin, every=10, count=180, cost=0.2)
    _session(store, "cheap", begin, every=5, count=400, cost=0.0005)
    detector = Detector(_POLICY)
    minutes = (0, 2, 10, 29, 60, 95, 110)
    runs = [detector(store, begin + timedelta(minutes=m)) for m in minutes]
    found = [[one for one in run.incidents if one.detector == "session"] for run in runs]
    assert [len(run) for run in found[:3]] == [0, 0, 1]
    assert {one.incident_id for run in found for one in run} == {found[2][0].incident_id}
    loop = found[2][0]
    assert (loop.axis, loop.value, loop.severity) == ("session_id", "loop", "critical")
    assert [(c.axis, c.value, c.share) for c in loop.contributors[:1]] == [("team", "coders", 1.0)]
    assert loop.note.startswith("cost slope, repeated prompts")
    assert found[3][0].impact_usd > loop.impact_usd > 0
    rows = _stored(store).filter(pl.col("detector") == "session")
    assert rows.height == 1 and rows["ended_at"][0] == begin + timedelta(seconds=1790)
    assert found[-1] == []


def test_a_surge_in_the_hour_that_is_not_over_is_found(store: Store) -> None:
    """The current hour counts as far as it went: a hundred dear calls are an incident while they happen, of the team;
    when they turn out to be no more (reversed), the incident ends and says why."""
    now = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
    store.command(
        "INSERT INTO otel.genai_rollup_hour (bucket, tenant, team, model, calls, cost_usd) "
        "SELECT toDateTime('2026-11-24 10:00:00', 'UTC') - toIntervalHour(number), 'busy', "
        "['search', 'support'][1 + number % 2], 'gpt', 30 + number % 7, 3 + number % 5 FROM numbers(1, 480)"
    )
    surge = (
        "INSERT INTO otel.genai_rollup_hour (bucket, tenant, team, model, calls, cost_usd) "
        "VALUES (toDateTime('2026-11-24 10:00:00', 'UTC'), 'busy', 'search', 'opus', {0}100, {0}90)"
    )
    detector = Detector(Policy(metrics=("cost_usd",)))
    assert not [one for one in detector(store, now).incidents if one.tenant == "busy"]
    store.command(surge.format(""))
    (one,) = [one for one in detector(store, now + timedelta(minutes=1)).incidents if one.tenant == "busy"]
    assert (one.metric, one.axis, one.value, one.ended_at) == ("cost_usd", "team", "search", None)
    assert ("model", "opus") in {(cause.axis, cause.value) for cause in one.contributors}
    assert 80 < one.impact_usd <= 90
    store.command(surge.format("-"))
    (gone,) = [one for one in detector(store, now + timedelta(minutes=2)).incidents if one.tenant == "busy"]
    assert gone.incident_id == one.incident_id and gone.ended_at and gone.note.startswith("no longer")
