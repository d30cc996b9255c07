"""`tokentide explain`: who said what, why it is one call, the price line, every posting."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.cases import DATA
from tests.unit.otel_exporter.conftest import Run, Tokentide

TWICE = """SELECT call_key, trace_id, response_id, cost_usd, input_tokens, merged_by FROM genai_calls
    WHERE observations > 1 AND merged_by = 'response_id' ORDER BY call_key LIMIT 1"""


@pytest.fixture
def explain(tokentide: Tokentide) -> Any:
    """Runs `explain` over the calls of LiteLLM exports, as JSON unless told otherwise."""
    assert tokentide("ingest", *sorted((DATA / "litellm").glob("*.traces.pb")), "--data-dir", "d").code == 0

    def run(name: str, form: str = "json") -> Run:
        return tokentide("explain", name, "--data-dir", "d", "--format", form)

    return run


def ask(tokentide: Tokentide, sql: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(tokentide("query", sql, "--data-dir", "d", "--format", "json").out)
    return answer


def test_it_says_who_said_what_and_why_it_is_one_call(explain: Any, tokentide: Tokentide) -> None:
    """A call seen twice: each observation with its non-empty fields, the key they share, cost and price line."""
    [call] = ask(tokentide, TWICE)
    [found] = json.loads(explain(call["call_key"]).out)
    assert found["merged_by"] == "response_id" and len(found["observations"]) == 2
    for one in found["observations"]:
        assert call["call_key"] in one["joined_by"]
        assert one["said"]["response_id"] == call["response_id"]
        assert all(value not in (None, "", []) for value in one["said"].values())
    assert {one["source"] for one in found["observations"]} == set(found["call"]["sources"])
    assert found["call"]["cost_usd"] == found["price"]["cost_usd"] == call["cost_usd"]
    items = found["price"]["items"]
    assert sum(Decimal(item["count"]) * Decimal(item["price_usd"]) for item in items) == Decimal(call["cost_usd"])
    [posting] = found["postings"]
    assert (posting["sign"], posting["cost_usd"], posting["changed"]) == (1, call["cost_usd"], {})


def test_every_form_tells_the_same(explain: Any, tokentide: Tokentide) -> None:
    """The table for people and the CSV hold fields, reason, price line and postings."""
    [call] = ask(tokentide, TWICE)
    shown = explain(call["call_key"], "table").out
    for part in (call["call_key"], "Who said what", "Why it is one call: response_id", "Price\n$", "Postings"):
        assert part in shown
    sheet = list(csv.DictReader(io.StringIO(explain(call["call_key"], "csv").out)))
    assert {row["section"] for row in sheet} == {"call", "said", "joined", "price", "posting"}
    said = [row for row in sheet if row["section"] == "said" and row["name"] == "input_tokens"]
    assert [row["value"] for row in said] == [str(call["input_tokens"])] * 2


def test_other_names_lead_to_calls(explain: Any, tokentide: Tokentide) -> None:
    """A response id or a trace id explains its one call, or lists its calls; an unknown name is a sentence, exit 1."""
    [call] = ask(tokentide, TWICE)
    assert json.loads(explain(call["response_id"]).out)[0]["call_key"] == call["call_key"]
    assert json.loads(explain(call["trace_id"].upper()).out)[0]["call_key"] == call["call_key"]
    [busy] = ask(
        tokentide,
        "SELECT trace_id, arraySort(groupArray(call_key)) AS keys FROM genai_calls GROUP BY trace_id"
        " HAVING count() > 1 ORDER BY trace_id LIMIT 1",
    )
    listed = json.loads(explain(busy["trace_id"]).out)
    assert sorted(row["call_key"] for row in listed) == busy["keys"]
    unknown = explain("no-such-call")
    assert unknown.code == 1 and unknown.out == ""
    assert unknown.err == "no call is known by 'no-such-call': give a call_key, a trace id or a response id\n"


def test_what_a_call_was_before_it_was_joined_is_told(tokentide: Tokentide, tmp_path: Path) -> None:
    """A span posted alone, later joined to another: its old key leads to the call, whose postings hold both."""
    spans = (_span("wrapper", 1, 0, 10, ""), _span("client", 2, 2, 8, "chatcmpl-8dc09c9ec45a4eecb94a5000", parent=1))
    for place, body in enumerate(spans):
        (tmp_path / f"{place}.traces.pb").write_bytes(body)
        assert tokentide("ingest", f"{place}.traces.pb", "--data-dir", "d").code == 0
    old = f"span:{'07' * 16}/{'01' * 8}"
    [found] = json.loads(tokentide("explain", old, "--data-dir", "d", "--format", "json").out)
    new = "id:chatcmpl-8dc09c9ec45a4eecb94a5000"
    assert found["call_key"] == new and found["merged_by"] == "containment"
    assert [(line["call_key"], line["sign"]) for line in found["postings"]] == [(old, 1), (old, -1), (new, 1)]
    assert "response_id" in found["postings"][2]["changed"]
    assert [one["joined_by"].partition(" of ")[0] for one in found["observations"]] == ["parent", "child"]


def test_today_s_prices_are_told_apart_from_what_was_posted(explain: Any, tokentide: Tokentide, tmp_path: Path) -> None:
    """After a price change, and before reprice, the page says that the posted cost is another."""
    (tmp_path / "dearer.yaml").write_text(
        "prices: {charge: local, overrides: [{models: '*', per_million: {input: 100, output: 300}}]}\n"
    )
    [call] = ask(tokentide, TWICE)
    run = tokentide("explain", call["call_key"], "--data-dir", "d", "--config", "dearer.yaml")
    assert run.code == 0 and "today's prices" in run.out and "override:*" in run.out


def _span(name: str, number: int, start: int, end: int, response_id: str, parent: int = 0) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    span = scope.spans.add(
        name=name,
        trace_id=b"\x07" * 16,
        span_id=bytes([number]) * 8,
        parent_span_id=bytes([parent]) * 8 if parent else b"",
        start_time_unix_nano=(10**9 + start) * 10**9,
        end_time_unix_nano=(10**9 + end) * 10**9,
    )
    said = {"gen_ai.provider.name": "openai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
    for key, text in (said | ({"gen_ai.response.id": response_id} if response_id else {})).items():
        span.attributes.add(key=key).value.string_value = text
    for key, tokens in (("input", 25), ("output", 12)):
        span.attributes.add(key=f"gen_ai.usage.{key}_tokens").value.int_value = tokens
    return request.SerializeToString()
