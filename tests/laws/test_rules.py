"""Laws over every built-in rule: it keeps its own tests on a real database, and is documented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting import files, trials
from alerting.engine import Options
from alerting.rules import Trial
from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.alerts import questions, sound

READ = files.builtin()
GROUPS, FAULTS = files.combined(READ, {})
RULES = [rule for group in GROUPS for rule in group.rules]
TRIALS = [trial for file in READ for trial in file.trials]
ROOT = Path(__file__).parents[2]
ON = {"BudgetBurn", "BudgetOverrunPredicted", "BudgetExhausted", "RunawaySession", "SpendAnomaly", "ModelRequestErrors"}
ON |= {"RateLimitHeadroomLow", "UnpricedModel", "TelemetrySilent", "PipelineStalled", "Watchdog"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An empty database with our tables."""
    with Store.embedded(tmp_path_factory.mktemp("rules")) as opened:
        runner.apply(opened)
        yield opened


def test_every_rule_is_sound(store: Store) -> None:
    """No file has a fault, the database can answer every rule, and every column a template speaks of is there."""
    from datetime import UTC, datetime

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
        assert len(set(rule.labels) - common) <= 1, rule.name
        wanted = {"summary", "description"} | ({"expected", "blast_radius"} if rule.name != "Watchdog" else set())
        assert wanted <= set(rule.annotations), rule.name


def test_the_agreed_rules_are_on() -> None:
    """What is on without any configuration is exactly the agreed list."""
    assert {rule.name for rule in RULES if rule.enabled} == ON
