"""`tokentide advise` on prompts that were really stored: what is seen, what is guessed, to the cent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.house import tokentide
from tests.unit.processors.spans import _pairs

pytestmark = [pytest.mark.e2e]

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PRICES = "{models: big, provider: anthropic, per_million: {input: 10, output: 50, cache_read: 1, cache_write: 12.5}}"
WORDS = "the ledger of tokens is closed at the end of each month and never opened again; "


def message(role: str, about: str, times: int) -> dict[str, str]:
    return {"role": role, "content": f"{about}: " + WORDS * times}


#: What every call of the bot begins with, and what else each says; a token is a byte here.
RULES = [message("system", "Rules", 40), message("user", "An example", 20)]
PROMPTS = {
    0: [*RULES, message("user", "First", 5)],
    1: [*RULES, message("user", "Second", 8)],
    2: [*RULES, message("user", "Third", 11)],
    30: [*RULES, message("user", "Much later", 8)],
}


def bodies() -> bytes:
    """Calls at these minutes, each of a second; the sender says tokens, no cost."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(_pairs({"service.name": "bot"}))
    scope = resource.scope_spans.add()
    for minute, messages in PROMPTS.items():
        start = int((NOON + timedelta(minutes=minute)).timestamp()) * 10**9
        text = json.dumps(messages)
        said: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "big",
            "gen_ai.conversation.id": "s-1",
            "gen_ai.usage.input_tokens": len(text),
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.input.messages": text,
        }
        scope.spans.add(
            trace_id=(minute + 1).to_bytes(16, "big"),
            span_id=(minute + 1).to_bytes(8, "big"),
            name="chat big",
            kind=3,
            start_time_unix_nano=start,
            end_time_unix_nano=start + 10**9,
            attributes=_pairs(said),
        )
    return request.SerializeToString()


def advice(tmp_path: Path, policy: str) -> list[dict[str, Any]]:
    config = tmp_path / "tokentide.yaml"
    config.write_text(
        f"prices: {{charge: local, overrides: [{PRICES}]}}\n"
        f"content: {{policy: {policy}, hash_key: sixteen-bytes-and-more}}\n"
    )
    (tmp_path / "bot.traces.pb").write_bytes(bodies())
    where = ("--config", config, "--data-dir", tmp_path / "d")
    stored = tokentide("ingest", tmp_path / "bot.traces.pb", *where, cwd=tmp_path)
    assert stored.returncode == 0, stored.stderr
    ran = tokentide("advise", "--since", "2026-11-01", *where, "--format", "json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    return [line for line in json.loads(ran.stdout or "[]") if line["kind"] == "cache"]


def test_shared_prefixes_are_seen_to_the_cent(tmp_path: Path) -> None:
    """Three calls within two minutes begin with the same two messages: the first writes them to the cache, the others
    read them. The fourth comes when they are forgotten. Tokens and dollars are worked out here from the texts alone.
    """
    [line] = advice(tmp_path, "keep")
    sizes = [len(json.dumps(PROMPTS[minute])) for minute in (0, 1, 2)]
    prefix = len(json.dumps(RULES)) - 1  # without the bracket that closes the list
    assert (line["subject"], line["calls"], line["cached_tokens"]) == ("bot: big", 3, 2 * prefix)
    answers = 3 * 100 * 50
    without = Decimal(sum(sizes) * 10 + answers) / 10**6
    cached = Decimal((sum(sizes) - 3 * prefix) * 10 + answers + prefix) / 10**6 + Decimal("12.5") * prefix / 10**6
    cached += Decimal(prefix) / 10**6
    assert (Decimal(line["actual_usd"]), Decimal(line["would_be_usd"])) == (without, cached)
    assert "seen in the kept content" in line["assumption"]


@pytest.mark.parametrize("policy", ["drop", "hash"])
def test_without_content_the_advice_says_so(tmp_path: Path, policy: str) -> None:
    """Dropped, the same prompts can only be guessed from the turns of their session, and the line says why; hashed,
    none is another one's repetition: nothing is advised that was not seen."""
    found = advice(tmp_path, policy)
    if policy == "hash":
        assert not found
    else:
        assert [line["subject"] for line in found] == ["big"]
        assert "no content of these calls is kept (content.policy)" in found[0]["assumption"]
