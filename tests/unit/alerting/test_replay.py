"""Replays: asking rules only when they may find something changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerting import files
from alerting.engine import Options
from alerting.replay import Replayed, replay
from alerting.rules import Group
from clickhouse_schema.store import Store
from otel_exporter.alerts import unbounded

_SINCE = datetime(2026, 10, 12, tzinfo=UTC)
_SPAN = _SINCE + timedelta(hours=4), _SINCE + timedelta(hours=24)
_STEP = timedelta(minutes=30)
_TABLES = (
    "genai_ledger", "genai_rollup_minute", "genai_rollup_hour", "genai_budget", "genai_limits", "genai_anomaly",
    "otel_metrics_histogram",
)  # fmt: skip
#: Nine days of two applications, one of which stops at noon and loses its prices before that; errors for an hour; a
#: session and a team that go wild.
_CALLS = """INSERT INTO otel.genai_ledger (call_key, request_key, tenant, started_at, posted_at, team, application,
  model, requested_model, session_id, cost_usd, sign, status, error_code)
SELECT concat({name:String}, toString(number)) AS name, name, 'acme',
  parseDateTime64BestEffort({since:String}, 9, 'UTC')
    + toIntervalSecond(number * {every:UInt32} + cityHash64(number) % 60)
    AS began, began, {team:String}, {application:String}, 'gpt-5', {model:String}, {session:String},
  if({usd:String} = '', NULL, toDecimal128OrNull({usd:String}, 6)), 1,
  {status:String}, if({status:String} = 'ok', '', '500')
FROM numbers({count:UInt32})"""
_BUDGETS = """INSERT INTO otel.genai_budget (as_of, computed_at, tenant, budget, labels, period, period_start,
  period_end, hard_usd, spent_usd, overrun_probability, forecast_p50,
  fullest_hour_usd)
SELECT toDateTime('2026-10-11 00:00:00', 'UTC') + toIntervalMinute(15 * number) AS moment, moment, 'acme',
  {team:String}, map('team', {team:String}), 'month', toDateTime('2026-10-01 00:00:00', 'UTC'),
  toDateTime('2026-11-01 00:00:00', 'UTC'), toDecimal128({limit:Float64}, 2),
  toDecimal128({spent:Float64} + number, 2), if(number BETWEEN 120 AND 160, 0.9, 0.1),
  {limit:Float64}, 3.5
FROM numbers(250)"""
_LIMITS = """INSERT INTO otel.genai_limits (observed_at, tenant, scope, id, alias, remaining_tokens)
SELECT toDateTime64('2026-10-11 12:00:00', 9, 'UTC') + toIntervalMinute(5 * number), 'acme', 'deployment', 'd1', 'd1',
  if(number BETWEEN 200 AND 220, 5, 100) FROM numbers(400)"""
_ANOMALY = """INSERT INTO otel.genai_anomaly (incident_id, tenant, metric, axis, value, started_at, ended_at,
  impact_usd, updated_at) VALUES ('a', 'acme', 'cost_usd', 'team', 'search', '2026-10-12 10:00:00',
  '2026-10-12 13:00:00', 50, '2026-10-12 13:00:00')"""

#: What a service counted itself in six hours, of which nothing came.
_COUNTED = """INSERT INTO otel.otel_metrics_histogram (ServiceName, MetricName, AggregationTemporality, StartTimeUnix,
  TimeUnix, Count)
SELECT 'counting', 'gen_ai.client.operation.duration', 2, began, began + toIntervalMinute(number), number
FROM (SELECT parseDateTime64BestEffort({began:String}, 9, 'UTC') AS began, number FROM numbers(1, 360))"""


def _calls(store: Store, name: str, since: str, every: int, count: int, **said: str) -> None:
    usual = {"team": "search", "application": "app", "model": "gpt-5", "session": "", "usd": "0.1", "status": "ok"}
    store.command(_CALLS, {"name": name, "since": since, "every": every, "count": count} | usual | said)


@pytest.fixture(scope="module")
def past(opened: Store) -> Iterator[Store]:
    """A past in which most rules find something."""
    for table in _TABLES:
        opened.command(f"TRUNCATE TABLE otel.{table}")
    _calls(opened, "a", "2026-10-03T00:00:00Z", 120, 6500)
    _calls(opened, "b", "2026-10-03T00:00:00Z", 120, 6800, application="other", team="ads")
    _calls(opened, "c", "2026-10-12T09:00:00Z", 60, 120, usd="")
    _calls(opened, "d", "2026-10-12T11:00:00Z", 40, 90, model="broken", usd="0", status="error")
    _calls(opened, "e", "2026-10-12T15:03:00Z", 10, 60, session="wild", usd="0.5")
    _calls(opened, "f", "2026-10-12T20:30:00Z", 20, 180, usd="0.4")
    for team, limit, spent in (("search", 720.0, 300.0), ("ads", 400.0, 250.0)):
        opened.command(_BUDGETS, {"team": team, "limit": limit, "spent": spent})
    for statement in (_LIMITS, _ANOMALY):
        opened.command(statement)
    yield opened
    for table in _TABLES:
        opened.command(f"TRUNCATE TABLE otel.{table}")


def _replayed(store: Store, groups: list[Group]) -> Replayed:
    found = replay(groups, unbounded(store), Options(), _SPAN, _STEP)
    assert not found.failed
    return found


def _told(found: Replayed) -> list[tuple[str, ...]]:
    return [(str(sorted(one.alert.labels.items())), str(one.since), str(one.until)) for one in found.firings]


def test_skipping_moments_changes_nothing(past: Store) -> None:
    """Every alert of our rules fires and ends at the same moments as when every rule is asked at every moment."""
    groups, faults = files.combined(files.builtin(), {})
    assert not faults
    skipping = _replayed(past, groups)
    always = [replace(group, rules=tuple(replace(rule, replay="") for rule in group.rules)) for group in groups]
    asking = _replayed(past, always)
    assert _told(skipping) == _told(asking)
    fired = {one.alert.labels["alertname"] for one in asking.firings}
    assert fired >= {
        "BudgetExhausted", "BudgetOverrunPredicted", "BudgetBurn", "TelemetrySilent", "UnpricedModel", "SpendAnomaly",
        "RunawaySession", "ModelRequestErrors", "RateLimitHeadroomLow", "Watchdog",
    }  # fmt: skip
    assert skipping.asked < asking.asked * 0.7
    assert {fault.rule for fault in skipping.left_out} == {"PipelineStalled"}


def test_what_did_not_arrive_is_replayed(past: Store) -> None:
    """Counters ahead of what arrived fire at the same moments whether the hours without counters are skipped or not."""
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=20)  # metrics do not last
    past.command(_COUNTED, {"began": began.isoformat()})
    groups, _ = files.combined(files.builtin(), {})
    rules = [(group, rule) for group in groups for rule in group.rules if rule.name == "TelemetryIncomplete"]
    span = began - timedelta(hours=24), began + timedelta(hours=20)
    found = [
        replay([replace(group, rules=(each,))], unbounded(past), Options(), span, _STEP)
        for group, rule in rules
        for each in (rule, replace(rule, replay=""))
    ]
    skipping, asking = found
    assert _told(skipping) == _told(asking)
    assert [one.alert.labels["application"] for one in asking.firings] == ["counting"]
    assert skipping.asked < asking.asked * 0.7


def test_a_wrong_word_on_replays_costs_time_only(past: Store, tmp_path: Path) -> None:
    """A rule whose `replay` fails is asked at every moment, and that is said."""
    (tmp_path / "mine.yaml").write_text("""
groups:
  - name: mine
    rules:
      - alert: Mine
        expr: "SELECT toFloat64(count()) AS value FROM genai_calls WHERE started_at < {now:DateTime('UTC')}"
        replay: SELECT 1 AS since, 2 AS until
""")
    found = _replayed(past, list(files.load(tmp_path / "mine.yaml").groups))
    assert [one.alert.labels["alertname"] for one in found.firings] == ["Mine"]
    assert "must answer columns since and until" in found.left_out[0].sentence
