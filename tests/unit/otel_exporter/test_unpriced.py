"""A model nobody has a price for: unknown, never 0, and said in four places."""

from __future__ import annotations

import json
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.telemetry import REGISTRY
from tests.unit.otel_exporter.conftest import Tokentide


def test_an_unknown_model_is_unknown_everywhere(tokentide: Tokentide, tmp_path: Path) -> None:
    """Its calls have cost NULL (not 0) and an issue, the counter goes up, and `report --unpriced` lists it."""
    (tmp_path / "x.traces.pb").write_bytes(_calls("oracle-9000", "oracle-9000", "gpt-4o-mini"))
    counted = REGISTRY.get_sample_value("tokentide_call_issues_total", {"issue": "unpriced_model"}) or 0.0
    assert tokentide("ingest", "x.traces.pb").code == 0
    sql = "SELECT model, cost_usd, cost_local_usd, issues, cost_source FROM genai_calls ORDER BY model DESC, call_key"
    rows = json.loads(tokentide("query", sql, "--format", "json").out)
    assert (
        rows[:2]
        == [
            {
                "model": "oracle-9000",
                "cost_usd": None,
                "cost_local_usd": None,
                "issues": ["unpriced_model"],
                "cost_source": "none",
            }
        ]
        * 2
    )
    assert rows[2]["cost_usd"] is not None and rows[2]["issues"] == []
    assert REGISTRY.get_sample_value("tokentide_call_issues_total", {"issue": "unpriced_model"}) == counted + 2
    listed = json.loads(tokentide("report", "--unpriced", "--since", "2000-01-01", "--format", "json").out)
    assert [
        (row["model"], row["calls"], row["input_tokens"], row["output_tokens"], row["issues"]) for row in listed
    ] == [("oracle-9000", 2, 60, 14, ["unpriced_model"])]
    total = json.loads(tokentide("report", "--since", "2000-01-01", "--format", "json").out)[0]
    assert (total["calls"], total["unpriced"], total["cost_usd"]) == (3, 2, rows[2]["cost_usd"])


def _calls(*models: str) -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, model in enumerate(models, 1):
        span = spans.add(
            name=f"chat {model}",
            trace_id=bytes([number]) * 16,
            span_id=bytes([number]) * 8,
            start_time_unix_nano=10**18,
            end_time_unix_nano=10**18 + 10**9,
        )
        for key, text in (("provider.name", "openai"), ("operation.name", "chat"), ("request.model", model)):
            span.attributes.add(key=f"gen_ai.{key}").value.string_value = text
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 30
        span.attributes.add(key="gen_ai.usage.output_tokens").value.int_value = 7
    return request.SerializeToString()
