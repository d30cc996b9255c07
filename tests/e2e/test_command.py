"""The `tokentide` command as it is installed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.house import asked, tokentide

pytestmark = pytest.mark.e2e
TOTAL = re.compile(r"^DEMO (\w+): sent (\S+) = stored (\S+)$", re.MULTILINE)
WRONG = """\
ingest:
  grpc:
    port: 70000
  tokn: s3cret-value
content:
  policy: share
"""


def test_config_check_reports_three_mistakes(tmp_path: Path) -> None:
    """Three mistakes in a file are three lines with path, place and reason on standard error, exit 2."""
    (tmp_path / "t.yaml").write_text(WRONG)
    ran = tokentide("config", "check", "t.yaml", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines() == [
        "content.policy (t.yaml:6): must be 'drop', 'redact', 'hash' or 'keep', not 'share'",
        "ingest.grpc.port (t.yaml:3): must be at most 65535, not 70000",
        "ingest.tokn (t.yaml:4): unknown key; did you mean token?",
    ]


def test_config_check_of_a_right_file(tmp_path: Path) -> None:
    """A file that is right is called valid, exit 0."""
    (tmp_path / "t.yaml").write_text("content:\n  policy: redact\n")
    assert tokentide("config", "check", "t.yaml", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_demo_ends_with_what_it_sent(tmp_path: Path) -> None:
    """`demo --once` ends well with all it sent stored, as its own sums say and ours; again, and nothing piles up."""
    totals = []
    for _ in range(2):
        began = _hour()
        ran = tokentide("demo", "--once", cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        found = {name: (sent, stored) for name, sent, stored in TOTAL.findall(ran.stdout)}
        assert {"calls", "errors", "input_tokens", "output_tokens", "unpriced", "cost_usd"} <= set(found)
        assert all(float(sent) == float(stored) for sent, stored in found.values())
        totals.append((began if began == _hour() else None, found))
    calls = asked(tmp_path / "tokentide-demo", "SELECT count() AS n FROM genai_calls")
    assert calls == [{"n": int(totals[-1][1]["calls"][1])}]
    _foresees(tmp_path / "tokentide-demo")
    (first, before), (second, after) = totals
    if first == second is not None:  # the history ends with the last full hour
        assert before == after


def _foresees(data: Path) -> None:
    """The demo's search team will overrun its budget, its support team's runaway afternoon was found, alerts fired."""
    budgets = asked(data, "SELECT budget, argMax(overrun_probability, as_of) AS p FROM genai_budget GROUP BY budget")
    chances = {row["budget"]: row["p"] for row in budgets}
    assert chances["search"] > 0.8 and chances["company"] < 0.2 and "search-key" in chances
    causes = asked(data, "SELECT value, metric FROM genai_anomaly FINAL WHERE severity = 'critical'")
    assert {"value": "support", "metric": "calls"} in causes
    assert asked(data, "SELECT rule FROM alert_state FINAL WHERE state = 'firing' AND rule = 'Watchdog'")


def _hour() -> str:
    return f"{datetime.now(UTC):%F %H}"
