"""A real `serve`, real Alertmanagers with the shipped routing, and a sink: every incident arrives once, ends once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.process import free_port
from tests.e2e.alertmanagers import NEEDS, Alertmanager, Sink, running, sink
from tests.e2e.house import House, serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow, NEEDS]
#: Incidents are log records that the test sends: the newest word on each decides.
RULES = """
groups:
  - name: incidents
    interval: 1s
    rules: [{rules}]
"""
RULE = """{{alert: {name}, severity: {severity}, labels: [tenant, team, owner, budget], annotations:
      {{summary: "turn {{{{ $row.turn }}}}"}}, expr: "
      SELECT 'acme' AS tenant, LogAttributes['team'] AS team, LogAttributes['owner'] AS owner,
        LogAttributes['budget'] AS budget, argMax(LogAttributes['is'], Timestamp) AS word, 1 AS value,
        toUnixTimestamp({{now:DateTime('UTC')}}) AS turn
      FROM otel_logs WHERE LogAttributes['alert'] = '{name}' GROUP BY team, owner, budget HAVING word = 'on'"}}"""
NAMES = {"BudgetExhausted": "critical", "BudgetOverrunPredicted": "warning", "BudgetBurn": "warning"}


def _configured(directory: Path, *urls: str) -> list[str]:
    rules = ", ".join(RULE.format(name=name, severity=severity) for name, severity in NAMES.items())
    (directory / "rules.yaml").write_text(RULES.replace("{rules}", rules))
    told = {
        "rule_files": ["rules.yaml"],
        "builtin": False,
        "resend_delay_seconds": 4,
        "alertmanagers": [{"url": url} for url in urls],
    }
    (directory / "tokentide.yaml").write_text(json.dumps({"alerting": told}))
    return ["--config", str(directory / "tokentide.yaml")]


def _say(house: House, word: str, *incidents: tuple[str, dict[str, str]]) -> None:
    """One request is one commit: the rules see all of it or nothing."""
    records = []
    for alert, labels in incidents:
        said = {"alert": alert, "is": word, **labels}
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
        records.append({"timeUnixNano": str(time.time_ns()), "attributes": attributes})
    body: dict[str, Any] = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    house.send("/v1/logs", json.dumps(body).encode(), "application/json")


def _told(alert: str, status: str, count: int = 1) -> Callable[[Sink], bool]:
    return lambda kept: kept.alerts().count((alert, status)) >= count


def _once(kept: Sink, alert: str) -> None:
    """Announced once, ended once, in this order."""
    assert [status for name, status in kept.alerts() if name == alert] == ["firing", "resolved"]


SEARCH = {"team": "search", "owner": "search-oncall", "budget": "search"}
CHAT = {"team": "chat", "owner": "search-oncall", "budget": "chat"}
OTHER = {"team": "batch", "owner": "batch-oncall", "budget": "batch"}


def test_one_incident_is_announced_once_whoever_restarts(tmp_path: Path) -> None:
    """Firing, grouping by owner, inhibition, resending beyond endsAt, restarts of both sides, and the end."""
    with sink() as kept, running(lambda: Alertmanager(tmp_path / "am", kept)) as (manager,):
        options = _configured(tmp_path, manager.url)
        with serving(tmp_path / "data", *options) as house:
            both = [("BudgetOverrunPredicted", SEARCH), ("BudgetOverrunPredicted", CHAT)]
            _say(house, "on", *both, *((name, OTHER) for name in NAMES))
            kept.wait_for(_told("BudgetOverrunPredicted/search", "firing"))
            kept.wait_for(_told("BudgetExhausted/batch", "firing"))

            manager.stop()
            manager.start()
            time.sleep(18)  # endsAt is 16 s ahead: only resending keeps the alerts alive
            house.kill()

        with serving(tmp_path / "data", *options) as house:
            house.wait_for("SELECT 1 FROM alert_state WHERE updated_at > last_sent_at - 60 AND state = 'firing'")
            time.sleep(9)
            assert manager.active() == set(NAMES)
            assert all(status == "firing" for _, status in kept.alerts())
            # what inhibits the others ends last
            _say(house, "off", *both, ("BudgetBurn", OTHER), ("BudgetOverrunPredicted", OTHER))
            ended = "SELECT rule FROM alert_state FINAL WHERE labels['budget'] = 'batch' AND state = 'resolved'"
            house.wait_for(ended, lambda rows: len(rows) == 2)
            _hold(lambda: manager.active() == {"BudgetExhausted"})
            _say(house, "off", ("BudgetExhausted", OTHER))
            for name in ("BudgetOverrunPredicted/search", "BudgetOverrunPredicted/chat", "BudgetExhausted/batch"):
                kept.wait_for(_told(name, "resolved"))
            time.sleep(9)  # resolved alerts are sent again, and must not be announced again

    together = [notice for notice in kept.told if notice["groupLabels"].get("owner") == "search-oncall"]
    assert {notice["path"] for notice in together} == {"/search-oncall"}
    assert max(len(notice["alerts"]) for notice in together) == 2
    for name in ("BudgetOverrunPredicted/search", "BudgetOverrunPredicted/chat", "BudgetExhausted/batch"):
        _once(kept, name)
    inhibited = [("BudgetOverrunPredicted/batch", "firing"), ("BudgetBurn/batch", "firing")]
    assert not set(inhibited) & set(kept.alerts())


def test_two_alertmanagers_announce_once_with_one_down(tmp_path: Path) -> None:
    """One of two peers is away when it fires, the other when it ends; it is announced once and ended once."""
    gossip = free_port(), free_port()
    with (
        sink() as kept,
        running(
            lambda: Alertmanager(tmp_path / "a", kept, cluster=gossip[0], peers=(gossip[1],)),
            lambda: Alertmanager(tmp_path / "b", kept, cluster=gossip[1], peers=(gossip[0],)),
        ) as (one, two),
        serving(tmp_path / "data", *_configured(tmp_path, one.url, two.url)) as house,
    ):
        _say(house, "on", ("BudgetExhausted", OTHER))
        kept.wait_for(_told("BudgetExhausted/batch", "firing"))
        two.stop()
        _say(house, "on", ("BudgetExhausted", SEARCH))
        kept.wait_for(_told("BudgetExhausted/search", "firing"))
        two.start()
        _hold(lambda: two.active() == {"BudgetExhausted"})
        time.sleep(5)  # the peers exchange what was announced
        one.stop()
        _say(house, "off", ("BudgetExhausted", SEARCH), ("BudgetExhausted", OTHER))
        kept.wait_for(_told("BudgetExhausted/search", "resolved"))
        kept.wait_for(_told("BudgetExhausted/batch", "resolved"))
        one.start()
        time.sleep(9)
    _once(kept, "BudgetExhausted/batch")
    _once(kept, "BudgetExhausted/search")


def _hold(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)
