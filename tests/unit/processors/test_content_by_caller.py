"""Content under the policy of its caller: the team and the application, never a neighbour's, never more than told."""

from __future__ import annotations

import pytest

from processors.batch import RECORDS, RESOURCES, Batch, Signal
from processors.content import ContentPolicy
from processors.content_by_caller import CallerPolicy, ContentByCaller
from processors.normalise import Normalise
from tests.unit.processors.planting import attribute, batch_with, frame

KEY = b"a key of at least sixteen bytes"
TALK = "the mango ripens, says ada@example.org"


def two_teams() -> Batch:
    """Two calls of two applications; LiteLLM says the team of the first, the resource that of the second."""
    attributes = [attribute("service.name", name, level="resource", owner=n) for n, name in enumerate(("shop", "desk"))]
    attributes.append(attribute("team", "support", level="resource", owner=1))
    for n in range(2):
        attributes += [
            attribute("gen_ai.operation.name", "chat", owner=n),
            attribute("gen_ai.request.model", "gpt-4o", owner=n),
            attribute("gen_ai.prompt", TALK, owner=n),
        ]
    attributes.append(attribute("metadata.user_api_key_team_alias", "search", owner=0))
    attributes.append(attribute("llm.request.type", "completion", owner=0))
    attributes.append(attribute("litellm.call_id", "c1", owner=0))
    rows = [(n, n, 0, "ab" * 16, f"{n:016x}", "", "", "litellm_request", 1, 1, 2, 2, "", 0) for n in range(2)]
    batch = batch_with(*attributes).with_frames(
        records=frame(rows, RECORDS[Signal.TRACES]), resources=frame([(0, ""), (1, "")], RESOURCES)
    )
    return Normalise()(batch)


def said(batch: Batch) -> list[str | None]:
    prompts = {row["owner"]: row["value"] for row in batch.attributes.to_dicts() if row["key"] == "gen_ai.prompt"}
    return [prompts.get(n) for n in range(2)]


@pytest.mark.parametrize(
    ("policies", "prompts"),
    [
        ([], [None, None]),
        ([CallerPolicy(ContentPolicy.KEEP, team="search")], [TALK, None]),
        ([CallerPolicy(ContentPolicy.KEEP, team="supp*")], [None, TALK]),
        ([CallerPolicy(ContentPolicy.REDACT, application="desk")], [None, TALK.replace("ada@example.org", "@")]),
        ([CallerPolicy(ContentPolicy.KEEP, team="search", application="desk")], [None, None]),
        ([CallerPolicy(ContentPolicy.KEEP, team="search"), CallerPolicy(ContentPolicy.REDACT)], [TALK, "@"]),
    ],
)
def test_each_caller_has_its_policy(policies: list[CallerPolicy], prompts: list[str | None]) -> None:
    """The first policy that fits a call's team and application holds for it, and for nobody else."""
    batch = two_teams()
    assert set(batch.observations["team"]) == {"search", "support"}
    found = said(ContentByCaller(ContentPolicy.DROP, policies, KEY)(batch))
    for text, expected in zip(found, prompts, strict=True):
        if expected is None or expected == TALK:
            assert text == expected
        else:
            assert text is not None and "mango" in text and "[REDACTED:email]" in text


def test_what_names_nobody_is_as_for_all() -> None:
    """Content of a resource, which many callers share, follows the policy for everybody."""
    batch = two_teams()
    shared = batch_with(attribute("gen_ai.prompt", TALK, level="resource")).attributes
    batch = batch.with_frames(attributes=batch.attributes.vstack(shared))
    after = ContentByCaller(ContentPolicy.DROP, [CallerPolicy(ContentPolicy.KEEP)], KEY)(batch)
    assert said(after) == [TALK, TALK]
    assert "gen_ai.prompt" not in after.attributes_of("resource")["key"].to_list()


def test_bodies_of_log_records() -> None:
    """A log record's body follows the application its resource names."""
    batch = batch_with(
        attribute("service.name", "desk", level="resource"),
        attribute("gen_ai.system", "openai"),
        signal=Signal.LOGS,
        event="gen_ai.user.message",
        body=("string", TALK),
    )
    for application, body in (("desk", TALK), ("shop", "")):
        policy = CallerPolicy(ContentPolicy.KEEP, application=application)
        assert ContentByCaller(ContentPolicy.DROP, [policy], KEY)(batch).records["body"].to_list() == [body]


def test_a_caller_s_policy_only_loosens() -> None:
    """A policy stricter than everybody's is refused: what does not name its caller would escape it."""
    with pytest.raises(ValueError, match="stricter"):
        ContentByCaller(ContentPolicy.REDACT, [CallerPolicy(ContentPolicy.HASH)], KEY)
