"""Processors as configuration: which run, in which order, for whom; what cannot be is refused with the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_exporter.chains import chains
from otel_exporter.config import load
from otel_exporter.config.faults import ConfigFaults
from otel_exporter.config.tree import Settings
from processors.chain import ORDER
from tests.e2e.spans import call
from tests.unit.otel_exporter.conftest import Tokentide

HOUSE = """
from processors.dialects.dialect import Dialect
import polars as pl
DIALECT = Dialect(name="house.bot", recognise=pl.lit(False), said={})
class Early:
    def __call__(self, batch): return batch
class Late(Early): pass
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings of a text, with a module `chainhouse` to name plug-ins of."""
    (tmp_path / "chainhouse.py").write_text(HOUSE)
    monkeypatch.syspath_prepend(tmp_path)

    def settings(text: str) -> Settings:
        (tmp_path / "t.yaml").write_text(text)
        return load(tmp_path / "t.yaml").settings

    return settings


def names(chain: Any) -> list[str]:
    return [type(step).__name__.lower() for step in chain]


def test_which_and_in_which_order(written: Any) -> None:
    """Nothing said: all of ours. Only one's own: before content. Ours named: those, in that order, and no others."""
    all_of_ours = ["normalise", "sample", "contentprocessor", "redactprocessor", "identify", "attributelists"]
    assert names(chains(Settings())[0]) == all_of_ours
    own = written("processors: ['chainhouse:Late', 'chainhouse:DIALECT', 'chainhouse:Early']\n")
    assert names(chains(own)[0]) == [*all_of_ours[:2], "late", "early", *all_of_ours[2:]]
    named = written("processors: ['chainhouse:Early', normalise, 'chainhouse:Late', content, redact, identify]\n")
    assert names(chains(named)[0]) == ["early", "normalise", "late", "contentprocessor", "redactprocessor", "identify"]
    assert len(ORDER) == len(all_of_ours)


def test_a_tenant_of_its_own(written: Any) -> None:
    """What a tenant has of its own holds for it; everything else, and everybody else, is as it was."""
    settings = written(
        "processors: ['chainhouse:Early']\nsampling: {spans: 0.5}\n"
        "content: {policies: [{tenant: b, policy: keep}, {team: x, policy: redact}, {tenant: a, team: y, policy: keep}"
        "]}\n"
        "tenants: [{tenant: a, processors: [normalise, content, redact, identify], sampling: {spans: 0}}]\n"
    )
    with pytest.raises(ConfigFaults, match="stricter"):
        written("content: {policies: [{tenant: b, policy: keep}, {tenant: b, team: x, policy: redact}]}\n")
    for_all, others = chains(settings)
    assert set(others) == {"a", "b"}
    assert names(for_all)[2:4] == ["early", "contentbycaller"]
    assert names(others["a"]) == ["normalise", "contentbycaller", "redactprocessor", "identify"]
    assert names(others["b"])[:4] == ["normalise", "sample", "early", "contentprocessor"]  # keep is laxer than x's


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("processors: [normalise, content, identify]\n", "must all be there"),
        ("processors: [normalise, redact, content, identify]\n", "the order is"),
        ("processors: [normalise, content, 'chainhouse:Late', redact, identify]\n", "must stand before content"),
        ("processors: [nonsense]\n", "processors"),
        ("tenants: [{tenant: a, processors: [redact]}]\n", "tenants"),
        ("tenants: [{tenant: a}, {tenant: a}]\n", "appears twice"),
        ("sampling: {spans: 2}\n", "sampling.spans"),
        ("content: {policies: [{policy: keep}]}\n", "is required"),
        ("content: {policy: keep, policies: [{team: x, policy: drop}]}\n", "must not be stricter"),
        ("content: {policies: [{tenant: a, policy: hash}]}\n", "content.hash_key"),
    ],
)
def test_what_cannot_be_is_refused(written: Any, text: str, fault: str) -> None:
    """No configuration leaves redaction out, lets anything past it, or hides content it cannot find."""
    with pytest.raises(ConfigFaults, match=fault):
        written(text)


def test_it_is_what_is_stored(tokentide: Tokentide, written: Any, tmp_path: Path) -> None:
    """Through the real pipeline: attributes are left out, limits and the ledger stay, content is kept for one team."""
    policies = (
        "content: {policies: [{team: search, policy: keep}]}\nattributes: {deny: ['gen_ai.request.*', 'metadata.*']}\n"
    )
    written(policies)
    said = {"gen_ai__prompt": "the mango ripens", "litellm__call_id": "c", "llm__request__type": "completion"}
    limit = {"metadata__user_api_key_hash": "h", "metadata__user_api_key_max_budget": "10.0"}
    for number, team in enumerate(("search", "support")):
        body = call(bytes([number + 1]) * 16, **said, **limit, metadata__user_api_key_team_alias=team)
        (tmp_path / f"{team}.traces.pb").write_bytes(body)
    run = tokentide("ingest", "search.traces.pb", "support.traces.pb", "--config", "t.yaml")
    assert run.code == 0, run.err

    def ask(sql: str) -> Any:
        return json.loads(tokentide("query", sql, "--format", "json").out)

    spans = ask(
        "SELECT mapContains(SpanAttributes, 'gen_ai.request.model') AS model, "
        "mapContains(SpanAttributes, 'gen_ai.response.model') AS answer FROM otel_traces"
    )
    assert spans == [{"model": False, "answer": True}] * 2 or spans == [{"model": 0, "answer": 1}] * 2
    assert {row["team"] for row in ask("SELECT team FROM genai_calls WHERE requested_model = 'gpt-4o'")} == {
        "search",
        "support",
    }
    assert ask("SELECT count() > 0 AS n FROM genai_limits") in ([{"n": 1}], [{"n": True}])
    keeping = ask("SELECT TraceId AS trace FROM otel_traces WHERE SpanAttributes['gen_ai.prompt'] = 'the mango ripens'")
    assert keeping == [{"trace": "01" * 16}]
    assert ask("SELECT text FROM genai_content") == []  # a short text stays where it was
