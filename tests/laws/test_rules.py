"""Laws over every built-in rule: it keeps its own tests on a real database, and is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from alerting import files, trials
from alerting.engine import Options
from alerting.rules import Trial
from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.alerts import questions, sound
from otel_exporter.config import load
from otel_exporter.config.alerting import AlertingSettings
from otel_exporter.telemetry import Metric

READ = files.builtin()
GROUPS, FAULTS = files.combined(READ, {})
RULES = [rule for group in GROUPS for rule in group.rules]
TRIALS = [trial for file in READ for trial in file.trials]
ROOT = Path(__file__).parents[2]
ON = {"BudgetBurn", "BudgetOverrunPredicted", "BudgetExhausted", "RunawaySession", "SpendAnomaly", "ModelRequestErrors"}
ON |= {"RateLimitHeadroomLow", "UnpricedModel", "TelemetrySilent", "TelemetryIncomplete", "PipelineStalled", "Watchdog"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An empty database with our tables."""
    with Store.embedded(tmp_path_factory.mktemp("rules")) as opened:
        runner.apply(opened)
        yield opened


def test_every_rule_is_sound(store: Store) -> None:
    """No file has a fault, the database can answer every rule, and every column a template speaks of is there."""
    _, faults = sound(GROUPS, questions(store, verbose=True), datetime.now(UTC))
    assert [str(fault) for fault in (*FAULTS, *faults)] == []


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_every_rule_keeps_its_tests(trial: Trial, store: Store) -> None:
    """Rows in, alerts out, at times: what the rule file says of its rules is so."""
    outcome = trials.run(trial, GROUPS, store, questions(store, verbose=True), Options())
    assert [f"{place}: {why}" for place, why in outcome.wrong] == []


def test_every_rule_has_what_somebody_woken_needs() -> None:
    """Every rule has a test, a section in the documentation, few labels and the agreed annotations."""
    text = (ROOT / "docs" / "alerts.md").read_text()
    tested = {expected.alert for trial in TRIALS for expected in trial.expected}
    common = {"tenant", "team", "owner"}
    for rule in RULES:
        assert f"### {rule.name}\n" in text, rule.name
        assert rule.name in tested
        own = set(rule.labels) - common
        assert len(own) <= 1 and own <= {"budget", "requested_model", "deployment_id", "application"}, rule.name
        assert rule.replay or not rule.enabled or rule.name in ("Watchdog", "PipelineStalled"), rule.name
        wanted = {"summary", "description"} | ({"expected", "blast_radius"} if rule.name != "Watchdog" else set())
        assert wanted <= set(rule.annotations), rule.name


def test_the_agreed_rules_are_on() -> None:
    """What is on without any configuration is exactly the agreed list."""
    assert {rule.name for rule in RULES if rule.enabled} == ON


def test_the_example_of_the_documentation_keeps_its_tests(store: Store) -> None:
    """The rule file in docs/alerts.md is valid and its test holds."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    (text,) = [block for block in blocks if block.startswith("groups:")]
    read = files.parse(Path("docs/alerts.md"), text)
    groups, faults = files.combined([read], {})
    (trial,) = read.trials
    outcome = trials.run(trial, groups, store, questions(store, verbose=True), Options())
    assert (faults, outcome.wrong) == ([], ())


def test_settings_of_the_documentation_load(tmp_path: Path) -> None:
    """The configurations in docs/alerts.md are valid."""
    blocks = re.findall(r"```yaml\n(alerting:.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    (tmp_path / "secret").write_text("x")
    for block in blocks:
        (tmp_path / "t.yaml").write_text(block.replace("/run/secrets/alertmanager", "secret"))
        assert load(tmp_path / "t.yaml").settings.alerting != AlertingSettings()


def test_rules_for_prometheus_speak_of_metrics_we_have() -> None:
    """Every metric in deploy/prometheus-rules.yml is declared."""
    text = (ROOT / "deploy" / "prometheus-rules.yml").read_text()
    exprs = [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    known = {metric.declared.name for metric in Metric}
    assert {name for expr in exprs for name in re.findall(r"tokentide_\w+", expr)} <= known
