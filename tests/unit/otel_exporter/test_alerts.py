"""`tokentide alerts`, and the part of the configuration that speaks of alerts."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from otel_exporter import alerts
from otel_exporter.config import ConfigFaults, load
from tests.unit.otel_exporter.conftest import Tokentide

BAD = """
groups:
  - name: mine
    rules:
      - alert: Good
        expr: SELECT 1 AS value
      - alert: NoColumn
        expr: SELECT nosuch AS value FROM genai_calls
      - alert: Two
        expr: SELECT 1 AS value; DROP TABLE genai_ledger
      - alert: Doubles
        labels: [team]
        expr: SELECT 1 AS value, arrayJoin(['a', 'a']) AS team
      - alert: Million
        expr: SELECT number AS value FROM numbers(1000000)
      - alert: Soon
        for: soon
        expr: SELECT 1 AS value
tests:
  - {name: right, expect: [{at: 1m, alert: Good, alerts: [{}]}]}
  - {name: wrong, expect: [{at: 1m, alert: Good, alerts: []}]}
"""


def test_check_names_every_bad_rule(tokentide: Tokentide, tmp_path: Path) -> None:
    """Each bad rule is named with file and line, the good one counted, and the exit code is 1."""
    (tmp_path / "mine.yaml").write_text(BAD)
    ran = tokentide("alerts", "check", "mine.yaml")
    lines = ran.out.splitlines()
    assert ran.code == 1
    for line, name, why in (
        (7, "NoColumn", "UNKNOWN_IDENTIFIER"),
        (9, "Two", "one statement at a time"),
        (11, "Doubles", "two rows with the same labels"),
        (14, "Million", "more than 10000 rows"),
        (17, "Soon", "must be a duration"),
    ):
        assert any(said.startswith(f"mine.yaml:{line}: {name}: ") and why in said for said in lines), (name, lines)
    assert len(lines) == 5


def test_test_runs_the_tests_of_a_file(tokentide: Tokentide, tmp_path: Path) -> None:
    """A right test is ok, a wrong one says where it fails and what was there, and the exit code is 1."""
    (tmp_path / "mine.yaml").write_text(BAD)
    ran = tokentide("alerts", "test", "mine.yaml", "--format", "json")
    told = {row["test"]: (row["outcome"], row["why"]) for row in json.loads(ran.out)}
    assert ran.code == 1
    assert told["right"] == ("ok", "")
    assert (
        told["wrong"][0] == "failed"
        and "not expected: firing" in told["wrong"][1]
        and "mine.yaml:21" in told["wrong"][1]
    )


def test_replay_shows_what_would_have_fired(
    tokentide: Tokentide, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over data of the past, an alert is shown with its times, and critical ones are counted as pages."""
    (tmp_path / "mine.yaml").write_text("""
groups:
  - name: mine
    rules:
      - alert: Spent
        severity: critical
        labels: [team]
        annotations: {summary: "{{ $value | usd }}"}
        expr: >-
          SELECT team, toFloat64(sum(cost_usd)) AS value FROM genai_calls
          WHERE started_at BETWEEN {now:DateTime('UTC')} - INTERVAL 2 HOUR AND {now:DateTime('UTC')}
          GROUP BY team HAVING value > 10
""")
    shared = ("alerts", "test", "mine.yaml", "--replay", "2d", "--step", "1h", "--data-dir", data_dir)
    run = tokentide(*shared, "--format", "json")
    assert run.code == 0, run.err
    (row,) = json.loads(run.out)
    assert (row["alert"], row["labels"], row["summary"]) == ("Spent", {"team": "support"}, "$12.50")
    assert row["resolved_at"] > row["fired_at"]
    monkeypatch.setenv("TOKENTIDE_FORECAST__SCHEDULED", "false")  # the same rule once more needs no forecasts
    monkeypatch.setenv("TOKENTIDE_ANOMALIES__ENABLED", "false")
    assert "1 alerts in 2d, 3.5 pages a week" in tokentide(*shared).out


def test_list_shows_rules_without_alerts(tokentide: Tokentide, data_dir: Path) -> None:
    """Every rule is listed, those that are off as off."""
    rows = json.loads(tokentide("alerts", "list", "--data-dir", data_dir, "--format", "json").out)
    states = {row["rule"]: row["state"] for row in rows}
    assert states["Watchdog"] == "inactive" and states["PriceDrift"] == "off"


def test_the_configuration_reaches_the_engine(tmp_path: Path) -> None:
    """Alertmanagers, secrets from files, words on rules and windows become what the engine works with."""
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "mine.yaml").write_text("groups: []")
    (tmp_path / "t.yaml").write_text("""
alerting:
  alertmanagers:
    - {url: "https://am:9093/prefix", bearer_token_file: token, timeout_seconds: 3}
    - {url: "http://am2:9093", username: us, password: them}
  rule_files: [mine.yaml]
  rules: [{alert: BudgetBurn, min_usd: 50}, {alert: PriceDrift, enabled: true}]
  owners: {search: search-oncall}
  external_labels: {cluster: eu}
  resend_delay_seconds: 30
  suppressions: [{alerts: [BudgetBurn], weekdays: [sat, sun], timezone: Europe/Berlin}]
""")
    settings = load(tmp_path / "t.yaml").settings
    one, two = alerts.endpoints(settings)
    assert (one.bearer, one.timeout, one.name, two.username, two.password) == (
        "s3cret",
        3.0,
        "am:9093/prefix",
        "us",
        "them",
    )
    assert alerts.options(settings).resend_delay == timedelta(seconds=30)
    groups, faults = alerts.groups(settings, alerts.rule_files(settings))
    rules = {rule.name: rule for group in groups for rule in group.rules}
    assert not faults
    assert rules["BudgetBurn"].min_usd == 50 and rules["PriceDrift"].enabled


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("alertmanagers: [{url: 'http://me:secret@am:9093'}]", "must be an address"),
        ("alertmanagers: [{url: 'http://am', username: me}]", "is required with username"),
        ("suppressions: [{weekdays: [someday]}]", "weekdays are"),
        ("external_labels: {'a.b': c}", "letters, digits and underscores"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """What Alertmanager would refuse, or nobody can read, is a fault of the configuration that repeats no password."""
    (tmp_path / "t.yaml").write_text(f"alerting:\n  {text}\n")
    with pytest.raises(ConfigFaults) as faults:
        load(tmp_path / "t.yaml")
    assert sentence in str(faults.value) and "secret" not in str(faults.value)
