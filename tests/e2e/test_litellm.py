"""LiteLLM itself, with its own OpenTelemetry callback: every call is one priced row."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, outside, serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
APP = Path(__file__).with_name("litellm_app.py")
CALLS = """
SELECT model, status, error_code, streaming, input_tokens, output_tokens, cost_usd, cost_source, end_user, team,
       application, gateway, provider, operation, response_id, observations
FROM genai_calls WHERE application = '{application}' ORDER BY started_at
"""
PICODOLLAR = Decimal("1e-12")


def run_app(house: House, exporter: str) -> subprocess.Popen[str]:
    """Start the application with nothing but variables to configure it."""
    environment = outside(
        OTEL_EXPORTER=exporter,
        OTEL_ENDPOINT=house.url if exporter == "otlp_http" else f"http://{house.addresses['grpc']}",
        OTEL_SERVICE_NAME=exporter,
        OTEL_RESOURCE_ATTRIBUTES="team=folk",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    )
    command = [sys.executable, str(APP)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def truths(app: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What the application says it did."""
    out, err = app.communicate(timeout=240)
    assert app.returncode == 0, err
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def test_litellm_calls_become_priced_rows(tmp_path: Path) -> None:
    """Every LiteLLM call, over gRPC and HTTP, is one row with its tokens, status, and LiteLLM's own cost."""
    with serving(tmp_path / "data") as house:
        apps = {exporter: run_app(house, exporter) for exporter in ("otlp_grpc", "otlp_http")}
        for exporter, app in apps.items():
            happened = truths(app)
            assert len(happened) == 4
            want = len(happened)
            rows = house.wait_for(CALLS.format(application=exporter), lambda rows, n=want: len(rows) >= n)
            assert [said(row) for row in rows] == [told(call) for call in happened]
            assert {(row["team"], row["provider"], row["operation"]) for row in rows} == {("folk", "openai", "chat")}
            assert [row["end_user"] for row in rows] == ["", "customer-7", "", ""]
        assert house.get("/readyz") == (200, "ready\n")
    assert "-> litellm" in house.log.read_text(), "the checklist does not name who speaks"


def told(call: dict[str, Any]) -> dict[str, Any]:
    """A call as its row should be."""
    cost = Decimal(call["cost"]).quantize(PICODOLLAR)
    return {
        "model": call["model"],
        "status": call["status"],
        "streaming": call["streaming"],
        "tokens": [call.get("input_tokens"), call.get("output_tokens")],
        "cost": cost,
        "id": call.get("id"),
        "error": "" if call["status"] == "ok" else "429",
    }


def said(row: dict[str, Any]) -> dict[str, Any]:
    """A row, as far as the application can know it."""
    failed = row["status"] == "error"
    return {
        "model": row["model"],
        "status": row["status"],
        "streaming": bool(row["streaming"]),
        "tokens": [row["input_tokens"] or None, row["output_tokens"] or None],
        "cost": Decimal(row["cost_usd"]),
        "id": None if failed else row["response_id"],
        "error": row["error_code"],
    }
