"""What the dialects make of instrumentors and frameworks that follow, or half follow, a convention."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from processors.batch import Signal
from processors.dialects import DIALECTS
from processors.identify import with_keys
from processors.post import join
from tests.unit.processors.spans import batch_of, litellm_span, normalised, observe

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 25,
    "gen_ai.usage.output_tokens": 12,
}
INFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o-mini",
    "llm.token_count.prompt": 25,
    "llm.token_count.completion": 12,
}
ASKED = "llm.invocation_parameters"
GENERATE = {
    "ai.operationId": "ai.generateText.doGenerate",
    "ai.model.provider": "openai.chat",
    "ai.model.id": "gpt-4o-mini",
    "ai.usage.inputTokens": 25,
    "ai.usage.outputTokens": 12,
}
ID = "chatcmpl-9091ad19a6604c6cbcfcd0f4"


def one(attributes: dict[str, Any], **about: Any) -> dict[str, Any]:
    """The observation of one span."""
    resource = about.pop("resource", None)
    (observation,) = observe({"attributes": attributes, "scope": "x", **about}, resource=resource)
    return observation


def calls(*spans: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of these spans."""
    return join(with_keys(normalised(batch_of(*spans)))).to_dicts()


@pytest.mark.parametrize(
    "attributes",
    [
        CHAT | {"gen_ai.operation.name": "invoke_agent"},
        CHAT | {"gen_ai.operation.name": "execute_tool"},
        CHAT | {"gen_ai.operation.name": "invoke_workflow"},
        CHAT | {"gen_ai.operation.name": "agent_step"},
        CHAT | {"gen_ai.operation.name": "llm_call"},
        CHAT | {"traceloop.span.kind": "workflow", "gen_ai.operation.name": "run"},
        INFERENCE | {"openinference.span.kind": "CHAIN"},
        INFERENCE | {"openinference.span.kind": "AGENT"},
        INFERENCE | {"openinference.span.kind": "TOOL"},
        GENERATE | {"ai.operationId": "ai.generateText"},
        GENERATE | {"ai.operationId": "ai.streamObject", "gen_ai.usage.input_tokens": 25},
        GENERATE | {"ai.operationId": "ai.toolCall"},
        {"agent_name": "a", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 80},
        {"gen_ai.usage.input_tokens": 80, "codex.usage.total_tokens": 90},
        {"gen_ai.usage.input_tokens": 80, "gen_ai.request.model": "m", "span.type": "interaction", "agent_name": "x"},
    ],
)
def test_aggregates_are_no_calls(attributes: dict[str, Any]) -> None:
    """Agents, workflows, chains, tools and framework parents are never observed, whatever tokens they repeat."""
    assert observe({"attributes": attributes, "scope": "x"}) == []


@pytest.mark.parametrize(
    ("attributes", "source"),
    [
        (CHAT, "otel.genai"),
        (CHAT | {"gen_ai.is_streaming": False}, "traceloop"),
        (CHAT | {"telemetry.sdk.name": "openlit"}, "openlit"),
        (CHAT | {"model_request_parameters": "{}"}, "pydantic_ai"),
        (CHAT | {"gen_ai.client.operation.duration": 0.5}, "vercel.ai.otel"),
        (CHAT | {"copilot_chat.session_id": "s"}, "copilot_chat.span"),
        (CHAT | {"gen_ai.provider.name": "anthropic", "anthropic.request.id": "req_1"}, "anthropic.sdk"),
        (INFERENCE, "openinference"),
        (GENERATE, "vercel.ai"),
        ({name: value for name, value in CHAT.items() if "provider" not in name}, "generic"),
        ({name: value for name, value in CHAT.items() if "operation" not in name}, "generic"),
    ],
)
def test_producers_are_known_by_their_attributes(attributes: dict[str, Any], source: str) -> None:
    """Whatever a span and its scope are called, its attributes tell whose it is; every one says the tokens."""
    call = one(attributes)
    assert (call["source"], call["input_tokens"], call["output_tokens"]) == (source, 25, 12)


def test_unknown_producers_say_so() -> None:
    """Usage of nobody we know is counted, believed least, and marked."""
    call = one({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 6})
    assert (call["source"], call["issues"], call["rank_tokens"]) == ("generic", ["generic_dialect"], 50)
    assert (call["provider"], call["input_tokens"], call["output_tokens"]) == ("openai", 5, 6)


def test_instrumentors_of_one_family_are_told_apart() -> None:
    """`sources` names the instrumentor when the scope does."""
    names = ("openinference.instrumentation.langchain", "@arizeai/openinference-instrumentation-openai", "mine")
    sources = [one(INFERENCE, scope=name)["source"] for name in names]
    assert sources == ["openinference.langchain", "openinference.openai", "openinference"]


@pytest.mark.parametrize(
    ("answer", "mime", "found"),
    [
        (json.dumps({"id": ID, "choices": []}), "application/json", ID),
        (json.dumps({"choices": [{"message": {"tool_calls": [{"id": "call_1"}]}}], "id": ID}), "application/json", ID),
        (json.dumps({"choices": [{"id": ID}]}), "application/json", None),
        (json.dumps([{"id": ID}]), "application/json", None),
        (json.dumps({"id": ID}), "text/plain", None),
        (json.dumps({"id": ID}), None, None),
        ("Your id is " + ID, "application/json", None),
        ('{"id":"' + ID + '","choices":[{"message":"cut', "application/json", ID),
    ],
)
def test_openinference_id_is_in_the_answer(answer: str, mime: str | None, found: str | None) -> None:
    """The whole answer names its call; an answer's text that merely looks so does not, nor do ids inside the answer."""
    attributes = INFERENCE | {"output.value": answer} | ({"output.mime_type": mime} if mime else {})
    assert one(attributes)["response_id"] == found


@pytest.mark.parametrize(
    ("attributes", "user", "end_user", "session", "tags"),
    [
        ({ASKED: '{"user": "u7", "metadata": {"user_id": "u1", "tags": ["a"]}}'}, "u1", "u7", None, ["a"]),
        ({"llm.system": "anthropic", ASKED: '{"metadata": {"user_id": "u7"}}'}, None, "u7", None, None),
        ({"user.id": "u1", "session.id": "s1", "tag.tags": ["a", "b"]}, "u1", None, "s1", ["a", "b"]),
        ({"metadata": '{"user_id": "u1", "session_id": "s1"}'}, "u1", None, "s1", None),
        ({ASKED: '{"tools": [{"user": "eve"}], "metadata": "cut'}, None, None, None, None),
    ],
)
def test_openinference_attribution(
    attributes: dict[str, Any], user: str | None, end_user: str | None, session: str | None, tags: list[str] | None
) -> None:
    """Users, sessions and tags come from OpenInference's own attributes or from the request's parameters."""
    call = one(INFERENCE | attributes)
    assert (call["user_id"], call["end_user"], call["session_id"], call["tags"]) == (user, end_user, session, tags)


def test_openinference_time_to_first_token_is_an_event() -> None:
    """The first token's event, minus the start, is the time to first token, and the answer was streamed."""
    call = one(INFERENCE, events={"First Token Stream Event": {}}, start=-2)
    assert (call["ttft_ms"], call["streaming"]) == (2000.0, True)


def test_openinference_cost_and_failure() -> None:
    """LiteLLM's cost is reported cost; a failure's status is in the exception's text when its class does not tell."""
    assert one(INFERENCE | {"llm.cost.total": 1.0949999999999998e-05})["cost_reported_usd"] == Decimal("0.00001095")
    error = {"exception.type": "openai.APIStatusError", "exception.message": "Error code: 418 - {...}"}
    call = one({"openinference.span.kind": "LLM"}, status=2, events={"exception": error})
    assert (call["status"], call["error_type"], call["error_code"]) == ("error", "APIStatusError", "418")


@pytest.mark.parametrize(
    ("provider", "scope", "tokens", "issues"),
    [
        ("anthropic", "x", 1821, []),
        ("", "openlit.instrumentation.anthropic", 1821, []),
        ("openai", "x", 1821, ["cache_convention_contradicted"]),
        ("aws.bedrock", "x", 1821, []),
    ],
)
def test_openlit_counts_anthropics_cache_beside_the_input(
    provider: str, scope: str, tokens: int, issues: list[str]
) -> None:
    """OpenLIT's Anthropic input has no cached tokens in it; others are believed when numbers prove it."""
    said = {
        **CHAT,
        "telemetry.sdk.name": "openlit",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.usage.input_tokens": 21,
        "gen_ai.usage.cache_read.input_tokens": 1500,
        "gen_ai.usage.cache_creation.input_tokens": 300,
    }
    call = one(said, scope=scope)
    assert (call["input_tokens"], call["issues"]) == (tokens, issues)


@pytest.mark.parametrize(("cost", "reported"), [(0, None), (0.0, None), (0.002, Decimal("0.002"))])
def test_openlit_cost_zero_is_unknown(cost: float, reported: Decimal | None) -> None:
    """OpenLIT sends 0 when its price list did not load."""
    assert one(CHAT | {"telemetry.sdk.name": "openlit", "gen_ai.usage.cost": cost})["cost_reported_usd"] == reported


def test_openlit_frameworks_are_no_providers() -> None:
    """``litellm`` is not who served a call; the model tells."""
    assert one(CHAT | {"telemetry.sdk.name": "openlit", "gen_ai.provider.name": "litellm"})["provider"] == "openai"


def test_openlit_failure_has_only_a_name() -> None:
    """A failed span without attributes is a failed call of the model in its name; an HTTP span beside it is not."""
    failed = {
        "name": "chat gpt-4o-mini",
        "scope": "openlit.instrumentation.litellm",
        "status": 2,
        "events": {"exception": {"exception.type": "litellm.exceptions.RateLimitError"}},
    }
    (call,) = observe(failed, failed | {"name": "POST", "scope": "opentelemetry.instrumentation.httpx"})
    assert (call["model"], call["provider"], call["operation"]) == ("gpt-4o-mini", "openai", "chat")
    assert (call["status"], call["error_code"]) == ("error", "429")


@pytest.mark.parametrize(
    ("kind", "operation"), [("chat", "chat"), ("completion", "text_completion"), ("embedding", "embeddings")]
)
def test_traceloop_old_names(kind: str, operation: str) -> None:
    """Versions before the conventions: prompt and completion tokens, `llm.request.type`, providers as names."""
    call = one(
        {
            "llm.request.type": kind,
            "gen_ai.system": "AWS",
            "gen_ai.request.model": "anthropic.claude-3",
            "gen_ai.usage.prompt_tokens": 1821,
            "gen_ai.usage.completion_tokens": 14,
            "llm.usage.total_tokens": 1835,
            "gen_ai.usage.cache_read_input_tokens": 1500,
            "traceloop.association.properties.user_id": "u1",
            "traceloop.association.properties.session_id": "s1",
        }
    )
    assert (call["operation"], call["provider"], call["input_tokens"]) == (operation, "aws.bedrock", 1821)
    assert (call["cache_read_tokens"], call["user_id"], call["session_id"], call["issues"]) == (1500, "u1", "s1", [])


@pytest.mark.parametrize(
    ("provider", "usage", "tokens"),
    [
        ("openai.chat", {"ai.usage.inputTokens": 2048, "ai.usage.cachedInputTokens": 1920}, 2048),
        ("anthropic.messages", {"ai.usage.inputTokens": 21, "ai.usage.cachedInputTokens": 1500}, 1521),
        (
            "anthropic.messages",
            {"ai.usage.inputTokens": 1821, "ai.usage.inputTokenDetails.cacheReadTokens": 1500},
            1821,
        ),
    ],
)
def test_vercel_input(provider: str, usage: dict[str, int], tokens: int) -> None:
    """Since version 6 every provider's input includes cached tokens; before, numbers decide."""
    call = one({**GENERATE, "ai.model.provider": provider, **usage})
    assert call["input_tokens"] == tokens


@pytest.mark.parametrize(
    ("said", "provider", "operation"),
    [
        ("openai.chat", "openai", "chat"),
        ("openai.responses", "openai", "responses"),
        ("azure-openai.chat", "azure.ai.openai", "chat"),
        ("google.generative-ai", "gcp.gemini", "chat"),
        ("google.vertex.chat", "gcp.vertex_ai", "chat"),
        ("amazon-bedrock", "aws.bedrock", "chat"),
        ("mistral.chat", "mistral_ai", "chat"),
        ("my-gateway.chat", "my-gateway", "chat"),
    ],
)
def test_vercel_provider(said: str, provider: str, operation: str) -> None:
    """The SDK's provider ids are the registry's names and the API that is used."""
    call = one(GENERATE | {"ai.model.provider": said})
    assert (call["provider"], call["operation"]) == (provider, operation)


def test_vercel_old_versions() -> None:
    """Version 4 counted prompt and completion tokens."""
    old = {"ai.usage.promptTokens": 3, "ai.usage.completionTokens": 4, "ai.operationId": "ai.streamText.doStream"}
    call = one({"ai.model.id": "m", **old})
    assert (call["input_tokens"], call["output_tokens"], call["streaming"]) == (3, 4, True)


def test_vercel_embedding_and_its_parent_are_one() -> None:
    """From version 7 on an embedding's parent is an embedding span too: one call, with the child's tokens."""
    bare = {name: value for name, value in CHAT.items() if "usage" not in name}
    parent = bare | {"gen_ai.operation.name": "embeddings"}
    child = parent | {"gen_ai.usage.input_tokens": 8}
    (call,) = calls(
        {"attributes": parent, "scope": "gen_ai", "kind": 3, "id": 1, "end": 3},
        {"attributes": child, "scope": "gen_ai", "kind": 3, "id": 2, "parent": 1, "start": 1, "end": 2},
    )
    assert (call["input_tokens"], call["output_tokens"], call["observations"]) == (8, 0, 2)


def test_pydantic_ai_reports_cost() -> None:
    """`operation.cost` is the client's cost; one-hour cache writes are a detail of usage."""
    details = {"operation.cost": 0.0001704, "gen_ai.usage.details.ephemeral_1h_input_tokens": 3}
    call = one(CHAT | {"model_request_parameters": "{}"} | details)
    assert (call["cost_reported_usd"], call["cache_write_1h_tokens"]) == (Decimal("0.0001704"), 3)


def test_responses_api_is_known_by_its_answers() -> None:
    """Libraries call it a chat; the answer's id or the API's type tells."""
    assert one(CHAT | {"gen_ai.response.id": "resp_1"})["operation"] == "responses"
    assert one(CHAT | {"openai.api.type": "responses"})["operation"] == "responses"
    assert one(CHAT | {"gen_ai.response.id": ID})["operation"] == "chat"


def test_a_framework_over_its_own_sdk_is_one_call() -> None:
    """Two spans of one producer, parent and child, are one call; two children of one parent are two."""
    wrapper = {"attributes": INFERENCE, "scope": "x", "id": 1, "end": 9}
    child = {"attributes": INFERENCE, "scope": "x", "id": 2, "parent": 1, "start": 1, "end": 4}
    assert [call["observations"] for call in calls(wrapper, child)] == [2]
    other = child | {"id": 3, "start": 5, "end": 8}
    assert sorted(call["observations"] for call in calls(wrapper, child, other)) == [1, 2]


def test_siblings_of_two_instrumentors_are_one_call() -> None:
    """LangChain's span need not be above the SDK's: it holds it in time, and another instrumentor wrote it."""
    langchain, openai = (f"openinference.instrumentation.{name}" for name in ("langchain", "openai"))
    framework = {"attributes": INFERENCE, "scope": langchain, "id": 1, "parent": 7, "end": 9}
    sdk = {"attributes": INFERENCE, "scope": openai, "id": 2, "parent": 7, "start": 1, "end": 4}
    assert [call["observations"] for call in calls(framework, sdk)] == [2]
    same = framework | {"scope": sdk["scope"]}
    assert [call["observations"] for call in calls(same, sdk)] == [1, 1]


def test_a_client_knows_only_the_alias() -> None:
    """A client that asked for an alias, and knows no id, is joined to the gateway's call of the model behind it."""
    client = {"attributes": INFERENCE | {"llm.model_name": "fast"}, "scope": "x", "id": 1, "end": 9}
    proxy = {"litellm.model_group": "fast", "metadata.user_api_key_hash": "h"}
    (call,) = calls(client, litellm_span(proxy, id=2, parent=1, start=1, end=2))
    assert (call["model"], call["requested_model"], call["gateway"]) == ("gpt-4o-mini", "fast", "litellm")


def test_the_sdk_inside_its_instrumentor_is_one_failure() -> None:
    """Anthropic's own span of a failed call has no id: it is its parent's call."""
    attributes = CHAT | {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-x"}
    attributes = {name: value for name, value in attributes.items() if "usage" not in name}
    sdk = attributes | {"http.route": "/v1/messages", "http.response.status_code": 529}
    (call,) = calls(
        {"attributes": attributes | {"error.type": "anthropic.OverloadedError"}, "scope": "x", "status": 2, "id": 1},
        {"attributes": sdk, "scope": "y", "status": 2, "id": 2, "parent": 1},
    )
    assert (call["sources"], call["error_code"], call["streaming"]) == (["anthropic.sdk", "otel.genai"], "529", False)


def test_numbers_may_be_texts() -> None:
    """Counts sent as text count."""
    call = one({name: str(value) for name, value in CHAT.items()})
    assert (call["input_tokens"], call["output_tokens"]) == (25, 12)


def test_metrics_are_not_read() -> None:
    """The same numbers arrive there again, so no dialect is for metrics."""
    assert {dialect.signal for dialect in DIALECTS} == {Signal.TRACES, Signal.LOGS}
