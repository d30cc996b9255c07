"""`tokentide demo`, and the dashboards in a real browser over what it sends."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from otel_exporter import runfile
from otel_exporter.asking import live, table
from otel_exporter.preview.dashboards import DIRECTORY, Dashboard, Dashboards, panels
from tests.e2e.browser import browser
from tests.e2e.house import PATIENCE, asked, outside, tokentide

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
DASHBOARDS = list(Dashboards(DIRECTORY))
#: `tokentide demo`, on any free ports.
DEMO = """
from otel_exporter.demo import show
show.PORTS.update(dict.fromkeys(show.PORTS, 0))
show.run(once=False)
"""
_OWN_METRICS = "SELECT 1 WHERE exists(SELECT 1 FROM otel_metrics_sum) AND exists(SELECT 1 FROM otel_metrics_gauge)"
Addresses = Mapping[str, str]
TOTAL = re.compile(r"^DEMO (\w+): sent (\S+) = stored (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Demo:
    """Two runs over one directory: the first has ended, the second keeps serving."""

    said: tuple[str, str]
    hours: tuple[str, str, str]  # before, between, and after the second one was done
    data_dir: Path
    addresses: Addresses


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`tokentide demo --once`, then one that runs while the tests do, once everything it shows is stored."""
    home = tmp_path_factory.mktemp("demo")
    before = _hour()
    once = tokentide("demo", "--once", cwd=home)
    assert once.returncode == 0, once.stdout + once.stderr
    between = _hour()
    log = home / "demo.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", DEMO], cwd=home, env=outside(), stdout=out, stderr=out)
    try:
        running = _shown(process, home / "tokentide-demo", log)
        said = once.stdout, log.read_text()
        yield Demo(said, (before, between, _hour()), home / "tokentide-demo", running.addresses)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def demo(demos: Demo) -> Addresses:
    """Where it listens."""
    return demos.addresses


def _hour() -> str:
    return f"{datetime.now(UTC):%F %H}"


def _shown(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> runfile.Running:
    """The demo, when it has said all it has to say and its own metrics are stored."""
    until = time.monotonic() + 4 * PATIENCE
    while True:
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        running = runfile.find(data_dir, patience=PATIENCE) if "keeps serving" in log.read_text() else None
        if running is not None and table(live(running), _OWN_METRICS).rows:
            return running
        time.sleep(0.2)


def test_demo_ends_with_what_it_sent(demos: Demo) -> None:
    """`demo --once` ends well with all it sent stored, as its own sums say and ours; again, and nothing piles up."""
    totals = [{name: (sent, stored) for name, sent, stored in TOTAL.findall(said)} for said in demos.said]
    for found in totals:
        assert {"calls", "errors", "input_tokens", "output_tokens", "unpriced", "cost_usd"} <= set(found)
        assert all(float(sent) == float(stored) for sent, stored in found.values())
    assert asked(demos.data_dir, "SELECT count() AS n FROM genai_calls") == [{"n": int(totals[-1]["calls"][1])}]
    if len(set(demos.hours)) == 1:  # the history ends with the last full hour
        assert totals[0] == totals[1]


def test_demo_foresees(demos: Demo) -> None:
    """The demo's search team will overrun its budget, its support team's runaway afternoon was found, alerts fired."""
    data = demos.data_dir
    budgets = asked(data, "SELECT budget, argMax(overrun_probability, as_of) AS p FROM genai_budget GROUP BY budget")
    chances = {row["budget"]: row["p"] for row in budgets}
    assert chances["search"] > 0.8 and chances["company"] < 0.2 and "search-key" in chances
    causes = asked(data, "SELECT value, metric FROM genai_anomaly FINAL WHERE severity = 'critical'")
    assert {"value": "support", "metric": "calls"} in causes
    assert asked(data, "SELECT rule FROM alert_state FINAL WHERE state = 'firing' AND rule = 'Watchdog'")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_every_panel_shows_something(demo: Addresses, dashboard: Dashboard) -> None:
    """Over the demo's data nothing fails, the console is silent, and no panel is empty."""
    with browser(f"http://{demo['health']}") as page:
        seen = page.open(f"/d/{dashboard.uid}")
    assert page.errors == []
    assert [panel for panel in seen if panel.failed or panel.rows < 0] == []
    assert [panel.title for panel in seen if not (panel.rows and panel.drawn)] == []
    assert len(seen) == sum(panel["type"] != "row" for panel in panels(dashboard.model["panels"]))


def test_a_trace_is_drawn_in_its_order(demo: Addresses) -> None:
    """The first span is the whole width, the attempts in it follow each other."""
    with browser(f"http://{demo['health']}") as page:
        page.open("/d/tokentide-trace")
        request, *attempts = page.bars("Spans")
    assert request == pytest.approx((0, 1), abs=0.01)
    assert len(attempts) > 1
    assert all(before[1] <= after[0] + 0.01 for before, after in pairwise(attempts))


def test_the_first_page_is_what_was_spent(demo: Addresses) -> None:
    """The plain address shows the Spend dashboard, in the colours the system prefers."""
    with browser(f"http://{demo['health']}", theme="dark") as page:
        titles = [panel.title for panel in page.open("/")]
    assert titles[:2] == ["Today", "Month to date"]


def answered(demo: Addresses, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """One request to the preview."""
    with closing(http.client.HTTPConnection(demo["health"], timeout=PATIENCE)) as connection:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        return response.status, response.read()


QUESTION = {"uid": "tokentide-spend", "kind": "variable", "name": "team", "from": 1, "to": 2}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"uid": "tokentide-none"}, 404),
        ({"name": "team' OR 1"}, 404),
        ({"kind": "sql", "name": "SELECT 1"}, 404),
        ({"from": "yesterday"}, 400),
        ({"to": 1e300}, 400),
        ({"variables": {"by": "team} FROM system.users --"}}, 404),
        ({"variables": []}, 400),
    ],
)
def test_a_page_asks_only_what_a_dashboard_holds(demo: Addresses, change: dict[str, object], status: int) -> None:
    """No SQL comes from outside: names are looked up, values of a fixed list have to be in it, the rest is quoted."""
    got, answer = answered(demo, "POST", "/preview/query", QUESTION | change)
    assert got == status, answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", ["/", "/d/tokentide-spend", "/preview/dashboards", "/preview/static/app.js"])
def test_other_names_are_refused(demo: Addresses, path: str) -> None:
    """A page elsewhere whose name points to this machine (DNS rebinding) reads nothing."""
    assert answered(demo, "GET", path, Host="evil.example")[0] == 403
    assert answered(demo, "GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/preview/static/..%2fpages.py", "/preview/static/%2e%2e/pages.py", "/d/../../etc"])
def test_only_its_own_files_are_served(demo: Addresses, path: str) -> None:
    """Nothing outside the folder of static files can be read."""
    assert answered(demo, "GET", path)[0] == 404
