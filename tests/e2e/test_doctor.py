"""`tokentide doctor` beside a running serve: the probe goes the whole way and is no call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.house import serving, tokentide

pytestmark = pytest.mark.e2e


def test_the_probe_arrives_and_is_no_call(tmp_path: Path) -> None:
    """With authentication on, each probe is acknowledged, then queryable, and neither a call nor a producer."""
    config = tmp_path / "tokentide.yaml"
    config.write_text("ingest: {token: t-0123456789abcdef}\n")
    with serving(tmp_path / "data", "--config", str(config)) as house:
        for number in (1, 2):
            ran = tokentide("doctor", "--format", "json", "--data-dir", house.data_dir, cwd=tmp_path)
            assert ran.returncode == 0, ran.stderr
            probe, total, *rest = json.loads(ran.stdout)
            assert 0 < probe["acknowledged_ms"] < probe["queryable_ms"]
            assert (total["spans"], total["calls"], rest) == (0, 0, [])
            assert house.ask("SELECT count() AS n FROM otel_traces") == [{"n": number}]
        found = house.ask(f"SELECT ServiceName FROM otel_traces WHERE TraceId = '{probe['trace_id']}'")
        assert found == [{"ServiceName": "tokentide-doctor"}]
        assert house.ask("SELECT count() AS n FROM genai_ledger") == [{"n": 0}]
        people = tokentide("doctor", "--data-dir", house.data_dir, cwd=tmp_path)
        assert people.stdout.startswith("Path: a probe span was acknowledged after")
