"""Budgets as a user has them: a few lines of YAML, a serve, and the outlook is in the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from tests.e2e.house import serving, tokentide

_BUDGETS = """
budgets:
  - {name: search, labels: {team: search}, period: week, timezone: Asia/Kolkata, hard_usd: 5, owner: ana}
  - {name: everything, period: quarter, soft_usd: 100000}
forecast: {axes: [total], most: 3, prophet_series: 0, delay_seconds: 0}
alerting: {enabled: false}
"""
_CALLS = """INSERT INTO otel.genai_ledger (call_key, tenant, started_at, posted_at, team, cost_usd, sign)
SELECT toString(number), 'default', toStartOfHour(now('UTC')) - toIntervalHour(1 + number % 1400) AS hour, now('UTC'),
    ['search', 'support'][1 + intDiv(number, 1400)], 1 + toHour(hour) / 24, 1
FROM numbers(2800)"""
_LIMIT = """INSERT INTO otel.genai_limits (observed_at, tenant, scope, id, alias, max_budget_usd, spend_usd, reset_at)
SELECT now64(9, 'UTC') - toIntervalMinute(5), 'default', 'key', 'k1', 'shop-key', 50, 20,
    toDateTime64(toStartOfMonth(now('UTC')) + toIntervalMonth(1), 9, 'UTC')"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with eight weeks of two teams, and a key whose limit a gateway told of."""
    directory = tmp_path_factory.mktemp("house") / "data"
    with Store.embedded(directory) as store:
        runner.apply(store)
        for statement in (_CALLS, _LIMIT):
            store.command(statement)
    return directory


def test_serve_keeps_an_eye_on_budgets(data: Path) -> None:
    """Configured budgets, the gateway's and the tenant's plain month get outlooks and forecasts, which are shown."""
    config = data.with_name("tokentide.yaml")
    config.write_text(_BUDGETS)
    foreseen = "SELECT DISTINCT budget FROM genai_budget WHERE source != 'gateway' AND forecast_p50 > 0"
    with serving(data, "--config", str(config)) as house:
        house.wait_for(foreseen, lambda found: len(found) == 3)
        shown = tokentide("budgets", "--data-dir", data, "--format", "json", cwd=data)
        assert shown.returncode == 0, shown.stderr
        rows = {row["budget"]: row for row in json.loads(shown.stdout)}
        assert set(rows) == {"search", "everything", "shop-key", "month"}
        assert rows["search"]["source"] == "config" and rows["search"]["owner"] == "ana"
        assert rows["search"]["period_start"].endswith("18:30:00Z")  # midnight in Kolkata
        assert rows["everything"]["overrun_probability"] == 0
        assert float(rows["everything"]["spent_usd"]) < rows["everything"]["forecast_p50"] < 100_000
        assert rows["shop-key"]["source"] == "gateway"
        assert rows["month"]["source"] == "outlook" and rows["month"]["hard_usd"] is None
        table = tokentide("budgets", "--data-dir", data, cwd=data)
        assert "search" in table.stdout and "week to" in table.stdout
        house.wait_for("SELECT 1 FROM genai_forecast WHERE freq = 'hour' LIMIT 1")
        metrics = house.wait_for_metric('tokentide_job_runs_total{outcome="ok",task="budgets"}')
        assert 'tokentide_budgets{source="gateway"} 1.0' in metrics
        assert 'outcome="failed",task="budgets"' not in metrics


def test_both_jobs_can_be_switched_off(data: Path) -> None:
    """Without forecasts and outlooks in the configuration serve has neither job."""
    variables = {"TOKENTIDE_FORECAST__SCHEDULED": "false", "TOKENTIDE_FORECAST__OUTLOOK_MINUTES": "0"}
    with serving(data, **variables) as house:
        house.wait_for("SELECT 1 FROM alert_state LIMIT 1")
        metrics = house.wait_for_metric('task="alerts/')
        assert 'task="forecast"' not in metrics and 'task="budgets"' not in metrics
