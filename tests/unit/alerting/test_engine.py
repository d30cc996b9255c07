"""The engine on a real database: bad rules beside good ones, what is kept over a restart, data that are stuck."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerting.engine import Engine, Notice, Options
from alerting.files import combined, parse
from alerting.journal import StoreJournal
from alerting.rules import Group
from clickhouse_schema.store import Store
from otel_exporter.alerts import questions, sound

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
CALL = """INSERT INTO otel.genai_ledger
    (call_key, tenant, team, started_at, ended_at, posted_at, cost_usd, version, sign)
    VALUES ('{key}', 'acme', '{team}', now() - 60, now(), now(), {usd}, 1, 1)"""
SPEND = "SELECT team, toFloat64(sum(cost_usd * sign)) AS value, 'note' AS note FROM genai_ledger GROUP BY team"


def _groups(*rules: str) -> list[Group]:
    text = "groups:\n  - name: g\n    limit: 100\n    rules:\n" + "".join(f"      - {rule}\n" for rule in rules)
    read = parse(Path("rules.yaml"), text)
    assert not read.faults
    return combined([read], {})[0]


def _engine(store: Store, groups: list[Group], sent: list[Notice], **facts: str) -> Engine:
    engine = Engine(groups, questions(store), StoreJournal(store), sent.extend, Options(), lambda: facts)
    engine.restore(NOW)
    return engine


@pytest.mark.parametrize(
    ("expr", "sentence"),
    [
        ("SELEC 1 AS value", "the SQL cannot be read"),
        ("SELECT 1 AS value; SELECT 2 AS value", "one statement at a time"),
        ("SELECT nosuch AS value FROM genai_ledger", "UNKNOWN_IDENTIFIER"),
        ("SELECT 1 AS value FROM nosuch", "UNKNOWN_TABLE"),
        ("SELECT 1 AS amount", "has no column value"),
        ("SELECT 1 AS value, 2 AS value", "MULTIPLE_EXPRESSIONS_FOR_ALIAS"),
        ("DROP TABLE genai_ledger", "the SQL cannot be read"),
        ("SELECT * FROM url('http://127.0.0.1:1/', CSV, 'value Int8')", "READONLY"),
        ("SELECT 1 AS value SETTINGS max_result_rows = 0", "settings cannot be chosen"),
        ("SELECT {nosuch:String} AS value", "UNKNOWN_QUERY_PARAMETER"),
    ],
)
def test_a_rule_the_database_cannot_answer_is_refused(store: Store, expr: str, sentence: str) -> None:
    """A bad rule is refused by name, file and line, and the rule beside it is kept."""
    groups = _groups(f'{{alert: Bad, expr: "{expr}"}}', "{alert: Good, expr: SELECT 1 AS value}")
    kept, faults = sound(groups, questions(store, verbose=True), NOW)
    assert [rule.name for group in kept for rule in group.rules] == ["Good"]
    assert [(fault.rule, str(fault.place)) for fault in faults] == [("Bad", "rules.yaml:5")]
    assert sentence in faults[0].sentence


def test_unknown_columns_of_labels_and_templates_are_refused(store: Store) -> None:
    """A label or a template that speaks of a column the query does not have is found before anything fires."""
    rule = (
        "{alert: Bad, expr: SELECT 1 AS value, labels: [team], min_usd: 1, annotations: {summary: '{{ $row.gone }}'}}"
    )
    _, faults = sound(_groups(rule), questions(store), NOW)
    said = " ".join(fault.sentence for fault in faults)
    assert "no column team" in said and "no column usd" in said and "$row.gone" in said


@pytest.mark.parametrize(
    ("expr", "sentence"),
    [
        ("SELECT number AS value FROM numbers(1000000)", "returns more than 10000 rows"),
        ("SELECT number AS value, toString(number) AS team FROM numbers(200)", "100 are the limit"),
        ("SELECT 1 AS value, arrayJoin(['a', 'a']) AS team", "two rows with the same labels (team)"),
        ("SELECT NULL AS value, '' AS team", "without a number"),
        ("SELECT throwIf(number = 1) AS value, '' AS team FROM numbers(3)", "FUNCTION_THROW_IF"),
    ],
)
def test_a_rule_that_fails_keeps_its_state_and_stops_no_other(store: Store, expr: str, sentence: str) -> None:
    """Too many rows, duplicate labels and failing queries make a rule unhealthy; the next rule is evaluated."""
    sent: list[Notice] = []
    rule = f'{{alert: Bad, expr: "{expr}", labels: [team]}}'
    engine = _engine(store, _groups(rule, "{alert: Good, expr: SELECT 1 AS value}"), sent)
    engine.evaluate(engine.groups[0], NOW)
    health = {one.rule.name: one for one in engine.health()}
    assert health["Bad"].kind == "failed" and sentence in health["Bad"].sentence
    assert [notice.labels["alertname"] for notice in sent] == ["Good"]


def test_alerts_survive_a_restart(store: Store) -> None:
    """A new engine takes up pending and firing alerts where they were, and ends what has no rule any more."""
    store.command(CALL.format(key="a", team="search", usd="5"))
    rules = (
        f"{{alert: Slow, for: 5m, labels: [team], expr: {SPEND!r}}}",
        f"{{alert: Fast, labels: [team], expr: {SPEND!r}}}",
    )
    sent: list[Notice] = []
    first = _engine(store, _groups(*rules), sent)
    first.evaluate(first.groups[0], NOW)
    second = _engine(store, _groups(rules[0]), sent)
    second.evaluate(second.groups[0], NOW + 5 * MINUTE)
    told = [(notice.labels["alertname"], notice.resolved) for notice in sent]
    assert told == [("Fast", False), ("Fast", True), ("Slow", False)]
    rows = store.arrow(
        "SELECT rule, state, labels['team'] AS team, active_at FROM otel.alert_state FINAL ORDER BY rule"
    )
    assert rows.select("rule", "state", "team").rows() == [("Fast", "resolved", "search"), ("Slow", "firing", "search")]
    assert set(rows["active_at"]) == {NOW}


def test_late_data_fire(store: Store) -> None:
    """A crossing of yesterday that arrives today fires when it arrives."""
    expr = "SELECT team, toFloat64(sum(cost_usd * sign)) AS value FROM genai_ledger GROUP BY team HAVING value > 8"
    sent: list[Notice] = []
    engine = _engine(store, _groups(f"{{alert: Late, labels: [team], expr: {expr!r}}}"), sent)
    for round_, key in enumerate("ab"):
        store.command(CALL.format(key=key, team="search", usd="5").replace("now() - 60", "now() - 86400"))
        engine.evaluate(engine.groups[0], NOW + round_ * MINUTE)
        assert len(sent) == round_


def test_data_that_are_stuck_end_nothing(store: Store) -> None:
    """While the spool holds data back, or a guard finds its data too old, a row that is gone keeps its alert firing."""
    sent: list[Notice] = []
    guard = "guard: {expr: 'SELECT max(posted_at) AS newest FROM genai_ledger', max_age: 10m}"
    facts: dict[str, str] = {}
    rules = f"{{alert: A, labels: [team], expr: {SPEND!r}}}", f"{{alert: B, labels: [team], {guard}, expr: {SPEND!r}}}"
    engine = Engine(_groups(*rules), questions(store), StoreJournal(store), sent.extend, Options(), lambda: facts)
    store.command(CALL.format(key="a", team="search", usd="5"))
    engine.evaluate(engine.groups[0], NOW)
    assert {alert.state for _, alert in engine.alerts()} == {"firing"}
    facts["backlog_seconds"] = "301"
    engine.evaluate(engine.groups[0], NOW + MINUTE)
    assert {health.kind for health in engine.health()} == {"absent"}
    facts.clear()
    store.command(
        "INSERT INTO otel.genai_ledger (team, sign, version, posted_at) VALUES ('search', -1, 1, now() - 7200)"
    )
    store.command("TRUNCATE TABLE otel.genai_ledger")
    store.command(
        CALL.format(key="b", team="search", usd="0")
        .replace("'search'", "'other'")
        .replace("now(), 0", "now() - 3600, 0")
    )
    engine.evaluate(engine.groups[0], NOW + 2 * MINUTE)
    states: dict[str, Any] = {(name, alert.labels["team"]): alert.state for name, alert in engine.alerts()}
    assert states["A/warning", "search"] == "resolved"
    assert states["B/warning", "search"] == "firing"


def test_owners_and_external_labels(store: Store) -> None:
    """An alert gets the owner of its team and the installation's labels; the row's own owner wins."""
    from alerting.evaluation import Identity

    expr = "SELECT 1 AS value, arrayJoin(['x', 'y']) AS team, if(team = 'x', 'me', '') AS owner"
    rule = f'{{alert: A, labels: [team, owner], expr: "{expr}"}}'
    sent: list[Notice] = []
    options = Options(Identity({"cluster": "eu"}, {"x": "x-oncall", "y": "y-oncall"}))
    engine = Engine(_groups(rule), questions(store), StoreJournal(store), sent.extend, options)
    engine.evaluate(engine.groups[0], NOW)
    assert {(n.labels["team"], n.labels["owner"], n.labels["cluster"]) for n in sent} == {
        ("x", "me", "eu"), ("y", "y-oncall", "eu"),
    }  # fmt: skip


def test_a_database_that_is_away_refuses_no_rule(store: Store) -> None:
    """When ClickHouse cannot be reached, rules are neither refused nor sound: the question is put again later."""
    from alerting.evaluation import DatabaseAway
    from clickhouse_schema.errors import StoreUnavailable
    from otel_exporter.alerts import Questions

    def away(_sql: str, _parameters: object) -> bytes:
        raise StoreUnavailable(0, "ClickHouse cannot be reached")

    with pytest.raises(DatabaseAway):
        sound(_groups("{alert: A, expr: SELECT 1 AS value}"), Questions(away), NOW)
