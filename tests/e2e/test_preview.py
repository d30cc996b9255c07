"""The dashboards in a real browser, over what `make demo` sends."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from otel_exporter.preview.dashboards import DIRECTORY, Dashboard, Dashboards, panels
from tests.e2e.browser import browser
from tests.e2e.house import PATIENCE, House, outside, serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
DASHBOARDS = list(Dashboards(DIRECTORY))
DAYS = 28


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A serve that holds what the demo sends: weeks of history, and calls of a real LiteLLM."""
    with serving(tmp_path_factory.mktemp("preview") / "data") as house:
        command = [sys.executable, "-m", "otel_exporter.demo.traffic", house.url, str(DAYS)]
        environment = outside(
            OTEL_EXPORTER="otlp_http",
            OTEL_ENDPOINT=house.url,
            OTEL_SERVICE_NAME="demo-litellm-app",
            OTEL_RESOURCE_ATTRIBUTES="team=platform,demo=true",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=True)
        calls = json.loads(ran.stdout)["calls"]
        house.wait_for("SELECT count() AS n FROM genai_calls", lambda rows: rows[0]["n"] >= calls)
        yield house


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_every_panel_is_drawn(house: House, dashboard: Dashboard) -> None:
    """Nothing fails, nothing complains, and a panel is empty only where its description says what would fill it."""
    optional = {p["title"] for p in panels(dashboard.model["panels"]) if "Filled by: " in p.get("description", "")}
    with browser(f"http://{house.addresses['health']}") as page:
        seen = page.open(f"/d/{dashboard.uid}")
    assert page.errors == []
    assert [panel for panel in seen if panel.failed or panel.rows < 0] == []
    assert [panel.title for panel in seen if not (panel.rows and panel.drawn) and panel.title not in optional] == []
    assert len(seen) == sum(panel["type"] != "row" for panel in panels(dashboard.model["panels"]))


def test_the_first_page_is_what_was_spent(house: House) -> None:
    """The plain address shows the Spend dashboard, in the colours the system prefers."""
    with browser(f"http://{house.addresses['health']}", theme="dark") as page:
        titles = [panel.title for panel in page.open("/")]
    assert titles[:2] == ["Today", "Month to date"]


def asked(house: House, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """One request to the preview."""
    with closing(http.client.HTTPConnection(house.addresses["health"], timeout=PATIENCE)) as connection:
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
def test_a_page_asks_only_what_a_dashboard_holds(house: House, change: dict[str, object], status: int) -> None:
    """No SQL comes from outside: names are looked up, values of a fixed list have to be in it, the rest is quoted."""
    got, answer = asked(house, "POST", "/preview/query", QUESTION | change)
    assert got == status, answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", ["/", "/d/tokentide-spend", "/preview/dashboards", "/preview/static/app.js"])
def test_other_names_are_refused(house: House, path: str) -> None:
    """A page elsewhere whose name points to this machine (DNS rebinding) reads nothing."""
    assert asked(house, "GET", path, Host="evil.example")[0] == 403
    assert asked(house, "GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/preview/static/..%2fpages.py", "/preview/static/%2e%2e/pages.py", "/d/../../etc"])
def test_only_its_own_files_are_served(house: House, path: str) -> None:
    """Nothing outside the folder of static files can be read."""
    assert asked(house, "GET", path)[0] == 404
