"""What the dialects make of log records: coding agents, and the event of the GenAI conventions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from processors.batch import Signal, concat
from processors.contract import OBSERVATION_SCHEMA
from processors.dialects import DIALECTS
from processors.identify import with_keys
from processors.normalise import Normalise
from processors.post import join
from tests.unit.processors.logs import heard, logs
from tests.unit.processors.spans import batch_of, normalised
from tests.unit.processors.test_normalise import NASTY, VALUES

TRACE = "ab" * 16
DETAILS = "gen_ai.client.inference.operation.details"
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 25,
    "gen_ai.usage.output_tokens": 12,
}
NO_USAGE = {"gen_ai.usage.input_tokens": "", "gen_ai.usage.output_tokens": ""}
REQUEST = {
    "event.name": "api_request",
    "session.id": "s1",
    "event.sequence": 2,
    "model": "claude-sonnet-4-5",
    "input_tokens": "12",
    "output_tokens": "345",
    "cache_read_tokens": "18000",
    "cache_creation_tokens": "950",
    "cost_usd": "0.0123",
    "duration_ms": "2150",
    "request_id": "req_1",
}
COMPLETED = {
    "event.name": "codex.sse_event",
    "event.kind": "response.completed",
    "conversation.id": "c1",
    "model": "gpt-5-codex",
    "input_token_count": "18500",
    "output_token_count": "410",
    "cached_token_count": 17920,
    "reasoning_token_count": 256,
    "tool_token_count": "18910",
}
RESPONSE = {
    "event.name": "gemini_cli.api_response",
    "session.id": "s1",
    "prompt_id": "p1",
    "model": "gemini-2.5-pro",
    "input_token_count": 1000,
    "output_token_count": 50,
    "cached_content_token_count": 400,
    "thoughts_token_count": 30,
    "tool_token_count": 20,
    "total_token_count": 1100,
}
CLAUDE = {"service.name": "claude-code"}


def calls(*parts: pl.DataFrame) -> list[dict[str, Any]]:
    """The calls of these observations."""
    return join(with_keys(pl.concat(parts))).sort("started_at").to_dicts()


def observed(*records: dict[str, Any], resource: dict[str, Any] | None = None) -> pl.DataFrame:
    """The observations of these log records."""
    return Normalise()(logs(*records, resource=resource)).observations


def details(attributes: dict[str, Any] | None = None, **about: Any) -> dict[str, Any]:
    """The event of a chat."""
    return {"name": DETAILS, "trace": TRACE, "span": 1, **about, "attributes": CHAT | (attributes or {})}


@pytest.mark.parametrize(
    "record", [details(), details({"event.name": DETAILS}, name=""), details({"event_name": DETAILS}, name="")]
)
def test_an_event_and_its_span_are_one_call(record: dict[str, Any]) -> None:
    """The event without the answer's id belongs to the span it was written in, even when it comes after its end."""
    span = normalised(batch_of({"attributes": CHAT, "scope": "x", "id": 1}))
    for order in ([span, observed(record | {"time": 1.01})], [observed(record | {"time": 1.01}), span]):
        (call,) = calls(*order)
        assert (call["observations"], call["input_tokens"], call["duration_ms"]) == (2, 25, 1000.0)


@pytest.mark.parametrize("enclosing", [True, False])
def test_events_below_one_span_are_calls_of_their_own(enclosing: bool) -> None:
    """Two events written in one span never merge, whether that span is itself a call or (an agent's) is not."""
    span = normalised(batch_of({"attributes": CHAT, "scope": "x", "id": 1, "end": 9})).head(int(enclosing))
    events = observed(details(time=2), details(time=4), details({"gen_ai.usage.input_tokens": 26}, time=6))
    assert len(calls(events, span)) == 3


def test_a_known_answer_joins_across_traces() -> None:
    """With the answer's id, event and span need share nothing else."""
    named = {"gen_ai.response.id": "chatcmpl-9091ad19a6604c6cbcfcd0f4"}
    span = normalised(batch_of({"attributes": CHAT | named, "scope": "x", "id": 1}))
    (call,) = calls(span, observed({"name": DETAILS, "attributes": CHAT | named}))
    assert call["merged_by"] == "response_id"


def test_litellms_event_says_nothing_new() -> None:
    """It has neither model nor tokens."""
    attributes = {"event_name": DETAILS, "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
    assert heard({"attributes": attributes, "trace": TRACE, "span": 1}) == []


def test_openlits_event_counts_like_its_span() -> None:
    """Its Anthropic input leaves cached tokens out, and only its scope says that it is OpenLIT's."""
    usage = {"gen_ai.usage.input_tokens": 1900, "gen_ai.usage.cache_read.input_tokens": 1500}
    (event,) = heard(details(usage, scope="openlit.instrumentation.anthropic"))
    assert event["input_tokens"] == 3400


def test_a_failed_event() -> None:
    """An error type makes the call a failed one."""
    (event,) = heard(details(NO_USAGE | {"error.type": "openai.RateLimitError"}))
    assert (event["status"], event["error_type"], event["error_code"]) == ("error", "RateLimitError", "429")


@pytest.mark.parametrize(
    ("record", "resource"),
    [
        ({"body": "claude_code.api_request", "attributes": REQUEST}, {}),
        ({"attributes": REQUEST | {"event.name": "claude_code.api_request"}}, {}),
        ({"attributes": REQUEST, "scope": "com.anthropic.claude_code.events"}, {}),
        ({"attributes": REQUEST}, CLAUDE),
    ],
)
def test_claude_code_request(record: dict[str, Any], resource: dict[str, Any]) -> None:
    """Numbers as text, input without cached tokens, the client's cost; body, scope or resource tell whose it is."""
    (call,) = heard(record, resource=resource)
    assert (call["input_tokens"], call["cache_read_tokens"], call["cache_write_tokens"]) == (18962, 18000, 950)
    assert (call["output_tokens"], call["cost_reported_usd"], call["provider"]) == (345, Decimal("0.0123"), "anthropic")
    assert (call["duration_ms"], call["session_id"], call["issues"]) == (2150.0, "s1", [])
    assert (call["ended_at"] - call["started_at"]).total_seconds() == 2.15


def test_an_api_request_of_somebody_else_is_no_call() -> None:
    """The event's name alone does not make it Claude Code's."""
    assert heard({"attributes": REQUEST, "body": "api_request"}) == []


def test_claude_code_calls_have_names() -> None:
    """The request id names a call and its span; else session and sequence do. Failures never share a name."""
    again = REQUEST | {"event.sequence": 3, "request_id": "req_2"}
    nameless = {name: value for name, value in REQUEST.items() if name != "request_id"}
    failed = {**nameless, "event.name": "api_error", "status_code": "529", "client_request_id": "x"}
    each_of = (REQUEST, again, nameless, nameless | {"event.sequence": 5}, failed, failed | {"event.sequence": 7})
    events = observed(
        *({"attributes": each, "trace": TRACE, "span": 1, "time": time} for time, each in enumerate(each_of)),
        resource=CLAUDE,
    )
    counts = ("model", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "request_id")
    span = {"llm_request.context": "interaction", "ttft_ms": 640} | {name: REQUEST[name] for name in counts}
    made = calls(events, normalised(batch_of({"attributes": span, "scope": "x", "id": 1})))
    assert [call["status"] for call in made].count("error") == 2
    (both,) = (call for call in made if call["observations"] == 2)
    assert (len(made), both["ttft_ms"], both["cost_reported_usd"]) == (6, 640.0, Decimal("0.0123"))


@pytest.mark.parametrize(
    ("model", "priced", "provider"),
    [
        ("claude-sonnet-4-5[1m]", "claude-sonnet-4-5", "anthropic"),
        ("us.anthropic.claude-sonnet-4-5-v1:0", "us.anthropic.claude-sonnet-4-5-v1:0", "aws.bedrock"),
        ("our-deployment", "our-deployment", "anthropic"),
    ],
)
def test_claude_code_models(model: str, priced: str, provider: str) -> None:
    """The mark of the large context window is no part of a model's name; Bedrock's names give Bedrock away."""
    (call,) = heard({"attributes": REQUEST | {"model": model}}, resource=CLAUDE)
    assert (call["requested_model"], call["model"], call["provider"]) == (model, priced, provider)


def test_codex_counts_once() -> None:
    """Of the events of one request only the one with the counts is the call."""
    bare = {name: value for name, value in COMPLETED.items() if not name.endswith("_count")} | {"duration_ms": "3"}
    request = {"event.name": "codex.api_request", "conversation.id": "c1", "http.response.status_code": 200}
    events = ({"attributes": each, "time": time} for time, each in enumerate((request, bare, COMPLETED), 1))
    (call,) = heard(*events)
    assert (call["input_tokens"], call["cache_read_tokens"], call["output_tokens"]) == (18500, 17920, 410)
    assert (call["provider"], call["operation"], call["streaming"], call["issues"]) == ("openai", "responses", True, [])


def test_codex_calls_have_names() -> None:
    """Equal answers of one conversation, in one span, at different times, are different calls."""
    times = (1, 2, 2.000001)
    events = observed(*({"attributes": COMPLETED, "time": time, "trace": TRACE, "span": 1} for time in times))
    assert len(calls(events)) == 3


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"event.name": "codex.api_request", "http.response.status_code": 429, "endpoint": "/responses"}, "429"),
        ({"event.name": "codex.api_request", "error.message": "connection reset"}, None),
        ({"event.name": "codex.sse_event", "event.kind": "response.completed", "error.message": "stream closed"}, None),
        ({"event.name": "codex.api_request", "http.response.status_code": 500, "endpoint": "/models"}, "none"),
        ({"event.name": "codex.api_request", "http.response.status_code": 200, "endpoint": "/responses"}, "none"),
        ({"event.name": "codex.sse_event", "event.kind": "response.failed", "error.message": "x"}, "none"),
    ],
)
def test_codex_failures(attributes: dict[str, Any], code: str | None) -> None:
    """A refused request and an answer that broke off are failed calls, once each; other endpoints are not."""
    events = heard({"attributes": attributes | {"conversation.id": "c1", "model": "gpt-5-codex"}})
    assert [(event["status"], event["error_code"]) for event in events] == [("error", code)] * (code != "none")


def test_gemini_counts_thoughts_and_tools_apart() -> None:
    """Thoughts are output and tool prompts are input; the total agrees."""
    (call,) = heard({"attributes": RESPONSE | {"finish_reasons": ["stop"]}})
    assert (call["input_tokens"], call["cache_read_tokens"]) == (1020, 400)
    assert (call["output_tokens"], call["reasoning_tokens"], call["issues"]) == (80, 30, [])
    assert (call["provider"], call["finish_reasons"]) == ("gcp.gemini", ["stop"])


def test_gemini_tells_every_call_twice() -> None:
    """The conventions' event of the same call is left out, and two calls of one prompt are two."""
    repeated = details({"session.id": "s1", "installation.id": "i1"})
    by_service = heard(details(), {"attributes": RESPONSE}, resource={"service.name": "gemini-cli"})
    assert [event["source"] for event in by_service] == ["gemini_cli"]
    events = observed(repeated, {"attributes": RESPONSE}, {"attributes": RESPONSE, "time": 2})
    assert len(calls(events)) == 2


def test_gemini_failure() -> None:
    """Its failures are events of their own; Vertex AI is told by how one signed in."""
    error = {"event.name": "gemini_cli.api_error", "model": "gemini-2.5-pro", "status_code": 429}
    (call,) = heard({"attributes": error | {"error.type": "QuotaError", "auth_type": "vertex-ai"}})
    assert (call["status"], call["error_code"], call["provider"]) == ("error", "429", "gcp.vertex_ai")


def test_copilot_events() -> None:
    """Named by the answer, or by span and moment; an event of nothing adds to a call and is none."""
    copilot = {"service.name": "copilot-chat", "session.id": "s1"}
    events = observed(details(), details(time=2), details(NO_USAGE, time=3), resource=copilot)
    assert events["role"].to_list() == ["call", "call", "support"]
    made = calls(events)
    assert [(call["sources"], call["session_id"]) for call in made] == [(["copilot_chat"], "s1")] * 2
    traceless = observed(*({"name": DETAILS, "attributes": CHAT, "time": time} for time in (1, 2)), resource=copilot)
    assert len(calls(traceless)) == 2


#: Real attribute names, and real values for those that say what a record is.
NAMES = sorted(
    {
        name
        for dialect in DIALECTS
        if dialect.signal is Signal.LOGS
        for name in dialect.names()
        if not name.startswith(("@", "resource:"))
    }
)
EVENTS = ["api_request", "claude_code.api_error", "codex.sse_event", "gemini_cli.api_response", DETAILS, *NASTY]
RECORDS = st.fixed_dictionaries(
    {
        "attributes": st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=20).flatmap(
            lambda said: st.sampled_from(EVENTS).map(lambda event: said | {"event.name": event})
        ),
        "scope": st.sampled_from(["", "com.anthropic.claude_code.events", "openlit.instrumentation.anthropic"]),
        "time": st.floats(-1e9, 1e9),
    }
)
LAWS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@LAWS
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_no_value_makes_it_raise(records: list[dict[str, Any]]) -> None:
    """Any text, number or flag in any attribute a dialect reads gives observations of the agreed shape, and calls."""
    observations = observed(*records)
    assert observations.schema == OBSERVATION_SCHEMA
    assert join(with_keys(observations)).height <= observations.height


@LAWS
@given(st.lists(RECORDS, max_size=3), st.lists(RECORDS, max_size=3))
def test_batches_do_not_matter(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Normalising two batches together gives the observations of each."""
    one, other = logs(*some), logs(*others)
    together = Normalise()(concat([one, other])).observations.sort(pl.all())
    apart = concat([Normalise()(one), Normalise()(other)]).observations.sort(pl.all())
    assert_frame_equal(together, apart)


@pytest.mark.parametrize("said", ["1e999", "NaN", "-Infinity", "-5", "1e30"])
def test_a_duration_that_cannot_be_is_unknown(said: str) -> None:
    """A duration that is endless, negative or longer than all time until then is not known; the call is there."""
    (call,) = heard({"attributes": REQUEST | {"duration_ms": said}}, resource=CLAUDE)
    assert (call["duration_ms"], call["input_tokens"]) == (None, 18962)
    assert call["started_at"] == call["ended_at"]
