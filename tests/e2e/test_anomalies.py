"""`tokentide anomalies` as a user types it."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from tests.e2e.house import tokentide

_WEEKS = """INSERT INTO otel.genai_rollup_hour (bucket, tenant, team, model, calls, cost_usd)
SELECT toStartOfHour(now('UTC')) - toIntervalHour(number % 672) AS bucket, 'default',
    ['search', 'support'][1 + intDiv(number, 672)] AS team, 'gpt', calls, calls * 0.2
FROM (SELECT number, if(intDiv(number, 672) = 1 AND number % 672 BETWEEN 20 AND 22, 400, 30 + number % 7) AS calls
    FROM numbers(1344))"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with four weeks of two teams; yesterday support spent ten times as much for three hours."""
    directory = tmp_path_factory.mktemp("house")
    with Store.embedded(directory) as store:
        runner.apply(store)
        store.command(_WEEKS)
    return directory


def test_detect_then_list(data: Path) -> None:
    """--detect finds the surge in calls and in spend and says how many; again, it changes nothing; the list names the
    cause in every format, and an earlier --since is not needed for what ended within it."""
    first = tokentide("anomalies", "--detect", "--since", "4w", "--data-dir", data, cwd=data)
    assert first.returncode == 0, first.stderr
    assert "2 incidents found, 2 new or changed" in first.stdout
    assert "team support 100%" in first.stdout and "cost_usd of support" in first.stdout
    again = tokentide("anomalies", "--detect", "--since", "4w", "--data-dir", data, cwd=data)
    assert "2 incidents found, 0 new or changed" in again.stdout

    listed = json.loads(tokentide("anomalies", "--data-dir", data, "--format", "json", cwd=data).stdout)
    assert {(row["metric"], row["axis"], row["value"], row["severity"]) for row in listed} == {
        ("cost_usd", "team", "support", "critical"),
        ("calls", "team", "support", "critical"),
    }
    began = datetime.fromisoformat(listed[0]["started_at"])
    assert timedelta(hours=20) <= datetime.now(UTC) - began <= timedelta(hours=24)
    rows = list(
        csv.DictReader(tokentide("anomalies", "--data-dir", data, "--format", "csv", cwd=data).stdout.split("\n"))
    )
    assert [row["incident_id"] for row in rows] == [row["incident_id"] for row in listed]
    none = tokentide("anomalies", "--since", "2h", "--data-dir", data, cwd=data)
    assert none.stdout == "no incidents in this time\n"


def test_what_is_watched_is_configuration(data: Path) -> None:
    """A file that watches spend only, of more than this, finds nothing; an unknown metric is a sentence."""
    (data / "few.yaml").write_text("anomalies: {metrics: [cost_usd], min_usd: 1000}\n")
    quiet = tokentide("anomalies", "--detect", "--config", data / "few.yaml", "--data-dir", data, cwd=data)
    assert "0 incidents found" in quiet.stdout, quiet.stderr
    (data / "bad.yaml").write_text("anomalies: {metrics: [vibes]}\n")
    bad = tokentide("anomalies", "--config", data / "bad.yaml", "--data-dir", data, cwd=data)
    assert bad.returncode == 2 and "anomalies.metrics" in bad.stderr and "Traceback" not in bad.stderr
