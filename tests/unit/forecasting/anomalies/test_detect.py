"""From calls in the store to rows of `genai_anomaly`, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    begin = (_LAST - timedelta(days=2)).replace(hour=14)
    begin -= timedelta(days=1) if begin > _LAST - timedelta(days=2) else timedelta(0)
    detector = Detector(_POLICY)
    found = [detector(store, begin + timedelta(hours=h, minutes=30)) for h in range(-1, 8)]
    critical = [[one for one in outcome.incidents if one.severity == "critical"] for outcome in found]
    assert not critical[0] and len({one.incident_id for run in critical for one in run}) == 1
    assert [run[0].ended_at is None for run in critical[1:]] == [True] * 5 + [False] * 3
    again = Detector(_POLICY)(store, begin + timedelta(hours=7, minutes=30))
    assert again.written == 0 and again.incidents == found[-1].incidents


#PROF
def test_prof(store):
    import time, cProfile, pstats
    d=Detector(_POLICY)
    n=_LAST-timedelta(days=2)
    for i in range(3):
        t=time.time(); d(store,n+timedelta(minutes=i)); print("run",time.time()-t)
    pr=cProfile.Profile(); pr.enable(); d(store,n+timedelta(minutes=9)); pr.disable()
    pstats.Stats(pr).sort_stats("cumtime").print_stats(25); assert 0
