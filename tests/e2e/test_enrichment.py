"""A running serve takes over enrichment tables: a changed CSV file by itself, a changed configuration on SIGHUP."""

from __future__ import annotations

import secrets
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.house import PATIENCE, House, serving
from tests.e2e.spans import call

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SQL = "SELECT cost_center, owner, team FROM genai_calls WHERE trace_id = '{trace}'"


def test_tables_are_taken_over_while_it_runs(tmp_path: Path) -> None:
    """Calls get the tables there were when they were posted; no restart, and a broken table changes nothing."""
    owners, config = tmp_path / "owners.csv", tmp_path / "t.yaml"
    owners.write_text("application,cost_center\nshop,CC-1\n")
    config.write_text("enrichment: {files: [owners.csv]}\n")
    with serving(tmp_path / "data", "--config", str(config)) as house:
        assert _sent(house) == {"cost_center": "CC-1", "owner": "", "team": ""}
        owners.write_text("application,cost_center,set.team\nshop,CC-22,sales\n")
        _until(house, "tokentide_enrichment_current 1.0", lambda: _sent(house)["cost_center"] == "CC-22")
        owners.write_text("nonsense\n")
        _until(house, "tokentide_enrichment_current 0.0", lambda: True)
        assert _sent(house) == {"cost_center": "CC-22", "owner": "", "team": "sales"}
        config.write_text("enrichment: {rules: [{set: {owner: ada}}]}\n")
        house.process.send_signal(signal.SIGHUP)
        _until(house, "tokentide_enrichment_rules 1.0", lambda: True)
        assert _sent(house) == {"cost_center": "", "owner": "ada", "team": ""}


def _sent(house: House) -> dict[str, str]:
    """What is known of a call that is sent now."""
    trace = secrets.token_bytes(16)
    house.send("/v1/traces", call(trace))
    [row] = house.wait_for(SQL.format(trace=trace.hex()))
    return row


def _until(house: House, line: str, done: object) -> None:
    assert callable(done)
    until = time.monotonic() + PATIENCE
    while not (line in house.get("/metrics")[1] and done()):
        assert time.monotonic() < until, house.log.read_text()
        time.sleep(0.2)
