"""What the dialects make of the particulars of their producers."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.dialects.names import provider_of_model
from processors.dialects.sheet import Sheet
from processors.dialects.words import number_at, part_of, python_repr, text_at, text_list
from processors.identify import with_keys
from tests.unit.processors.spans import NO_USAGE, PROXY, batch_of, litellm_span, normalised, observe

CALL_ID = "27b7e135-0ad1-4f8e-9d2c-36c3e945b0c8"
FAILED = {**NO_USAGE, "gen_ai.response.id": CALL_ID, "error.llm_provider": "openai", "error.type": "RateLimitError"}
V2 = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "smart",
    "gen_ai.response.model": "smart",
    "litellm.call_id": CALL_ID,
    "litellm.call_type": "acompletion",
    "litellm.provider.model": "anthropic/claude-sonnet-4-5",
    "litellm.api_key.hash": "hash-1",
    "gen_ai.usage.input_tokens": 5,
    "gen_ai.usage.output_tokens": 6,
    "litellm.cost.total": 0.5,
}


def one(attributes: dict[str, Any] | None = None, **about: Any) -> dict[str, Any]:
    """The observation of one v1 span."""
    resource = about.pop("resource", None)
    (observation,) = observe(litellm_span(attributes, **about), resource=resource)
    return observation


@pytest.mark.parametrize(
    ("dispatched", "request_model", "model", "provider"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini", "gpt-4o-mini", "openai"),
        ("groq/openai/gpt-oss-120b", "openai/gpt-oss-120b", "openai/gpt-oss-120b", "groq"),
        ("bedrock/us.anthropic.claude-3", "us.anthropic.claude-3", "us.anthropic.claude-3", "aws.bedrock"),
        ("azure/our-deployment", "our-deployment", "our-deployment", "azure.ai.openai"),
        ("openai/gpt-4o", "smart", "gpt-4o", "openai"),
        ("text-embedding-3-small", "text-embedding-3-small", "text-embedding-3-small", "openai"),
        ("meta-llama/Llama-3", "meta-llama/Llama-3", "meta-llama/Llama-3", None),
    ],
)
def test_v1_model_is_what_was_dispatched(dispatched: str, request_model: str, model: str, provider: str | None) -> None:
    """The priced model has no LiteLLM prefix and is never an alias; a missing provider is the prefix or the model's."""
    said = {"litellm.provider.model": dispatched, "gen_ai.request.model": request_model, "gen_ai.system": ""}
    observation = one(said)
    assert (observation["model"], observation["provider"]) == (model, provider)


def test_a_provider_called_unknown_is_unknown() -> None:
    """LiteLLM writes `Unknown` where it knows no provider: nobody said one."""
    said = {"gen_ai.system": "Unknown", "litellm.provider.model": "llama-9"}
    assert one({**said, "gen_ai.request.model": "llama-9"})["provider"] is None


def test_v2_request_model_is_an_alias() -> None:
    """On the v2 proxy the alias is what was requested, and the repeated alias is no answer's model."""
    (call,) = observe({"attributes": V2, "kind": 3})
    assert (call["requested_model"], call["model"], call["response_model"]) == ("smart", "claude-sonnet-4-5", None)


def test_gateway_and_application_are_told_apart() -> None:
    """Only the proxy is a gateway; its resource tells of itself, an application's tells who asked."""
    resource = {"service.name": "svc", "team": "core", "host.name": "h"}
    proxied, direct = one(PROXY, resource=resource, parent=9), one(resource=resource, parent=9)
    assert (proxied["gateway"], proxied["team"], proxied["host"], proxied["rank_caller"]) == (
        "litellm",
        "Payments",
        None,
        90,
    )
    assert (direct["gateway"], direct["team"], direct["host"], direct["rank_caller"]) == ("", "core", "h", 10)
    assert (proxied["request_span"], direct["request_span"]) == ("0000000000000009", "")


@pytest.mark.parametrize(
    ("resource", "environment"),
    [
        ({"deployment.environment": "production", "model_id": "svc"}, None),
        ({"deployment.environment": "qa", "model_id": "svc"}, "qa"),
        ({"deployment.environment": "production"}, "production"),
        ({"deployment.environment": "production", "model_id": "svc", "deployment.environment.name": "prod"}, "prod"),
    ],
)
def test_litellm_default_environment_is_not_said(resource: dict[str, str], environment: str | None) -> None:
    """`production` beside LiteLLM's `model_id` is a default that nobody chose."""
    assert one(resource=resource)["environment"] == environment


@pytest.mark.parametrize(
    ("requester", "user", "session", "tags"),
    [
        (
            "{'user_id': \"o'hara\", 'session_id': 's1', 'tags': ['a', 'b'], 'headers': {'x': 'y'}}",
            "o'hara",
            "s1",
            ["a", "b"],
        ),
        ("{'note': \"'user_id': 'mallory'\", 'deep': {'user_id': 'eve'}}", None, None, None),
        ("{'headers': {'x-litellm-tags': '{'}, 'user_id': 7}", "7", None, None),
        ("{'user_id': None, 'tags': []}", None, None, None),
        ("{'user_id': 'cut of", None, None, None),
        ("__import__('os').abort()", None, None, None),
    ],
)
def test_request_metadata_is_read_as_a_literal(
    requester: str, user: str | None, session: str | None, tags: list[str] | None
) -> None:
    """Python-repr metadata is parsed, not searched and never evaluated; what is broken says nothing."""
    call = one({**PROXY, "metadata.requester_metadata": requester})
    assert (call["user_id"], call["session_id"], call["tags"]) == (user, session, tags)


def test_users() -> None:
    """The key's owner comes before the user the application names; a placeholder is nobody, an end user no user."""
    named = {**PROXY, "metadata.requester_metadata": "{'user_id': 'u-42'}"}
    assert one({**named, "metadata.user_api_key_user_id": "owner"})["user_id"] == "owner"
    assert one({**named, "metadata.user_api_key_user_id": "default_user_id"})["user_id"] == "u-42"
    assert one({**named, "metadata.user_api_key_end_user_id": "u-42"})["user_id"] is None


@pytest.mark.parametrize("end_user", ["user_ab_account_cd_session_e-f", '{"device_id": "d", "session_id": "e-f"}'])
def test_claude_code_hides_its_session_in_the_user(end_user: str) -> None:
    """Anthropic's `metadata.user_id`, as Claude Code fills it, tells the session."""
    call = one({**PROXY, "metadata.user_api_key_end_user_id": end_user})
    assert (call["end_user"], call["session_id"]) == (end_user, "e-f")


def test_baggage_and_callback_attributes() -> None:
    """Metadata exported by baggage settings or a subclass of the callback, whatever its prefix, is read."""
    said = {"acme.metadata.user_id": '"u-42"', "litellm.metadata.session_id": "s-1", "acme.request_tags": '["a"]'}
    call = one(said)
    assert (call["user_id"], call["session_id"], call["tags"]) == ("u-42", "s-1", ["a"])


def test_usage_classes() -> None:
    """All token classes come out of LiteLLM's Python-repr usage, each from its own part."""
    usage = (
        "{'completion_tokens': 100, 'prompt_tokens': 2000, 'total_tokens': 2100, 'completion_tokens_details': "
        "{'audio_tokens': 7, 'reasoning_tokens': 64, 'image_tokens': None}, 'prompt_tokens_details': "
        "{'audio_tokens': 5, 'cached_tokens': 1500, 'image_tokens': 9, "
        "'cache_creation_tokens': 300, 'cache_creation_token_details': {'ephemeral_5m_input_tokens': 100, "
        "'ephemeral_1h_input_tokens': 200}}, 'cache_creation_input_tokens': 300, "
        "'cache_read_input_tokens': 0}"
    )
    call = one({**NO_USAGE, "metadata.usage_object": usage})
    said = {
        "input_tokens": 2000, "output_tokens": 100, "cache_read_tokens": 1500, "cache_write_tokens": 300,
        "cache_write_1h_tokens": 200, "reasoning_tokens": 64, "audio_input_tokens": 5, "audio_output_tokens": 7,
        "image_tokens": 9,
    }  # fmt: skip
    assert {name: call[name] for name in said} == said


@pytest.mark.parametrize(
    ("said", "hit", "reported"),
    [
        ({"hidden_params": '{"cache_key": "66f7", "api_base": "x"}'}, True, 1.095e-05),
        ({"litellm.cache_hit": True, "gen_ai.cost.total_cost": 0.0, "litellm.saved_cache_cost": 0.25}, True, 0.25),
        ({"litellm.cache_hit": False, "hidden_params": '{"cache_key": "66f7"}'}, False, 1.095e-05),
        ({"hidden_params": '{"cache_key": null, "note": "\\"cache_key\\": \\"k\\""}'}, False, 1.095e-05),
    ],
)
def test_cache_hits(said: dict[str, Any], hit: bool, reported: float) -> None:
    """Old and new versions tell a cache hit differently; what is reported is what the hit saved."""
    call = one(said)
    assert (call["cache_hit"], float(call["cost_reported_usd"])) == (hit, reported)


def test_attempts_of_one_request_keep_apart() -> None:
    """The proxy gives all attempts one call id: a failed attempt shares no key with the one that succeeded."""
    failed = litellm_span({**PROXY, **FAILED}, status=2, parent=9)
    embedded = litellm_span({**PROXY, "gen_ai.response.id": CALL_ID}, parent=9, start=2, end=3)
    keys = with_keys(normalised(batch_of(failed, embedded)))["keys"].to_list()
    assert not set(keys[0]) & set(keys[1])


def test_the_same_failure_told_twice_is_one() -> None:
    """Two callbacks that report the same failed attempt share a key."""
    keys = with_keys(normalised(batch_of(*[litellm_span(FAILED, status=2)] * 2)))["keys"].to_list()
    assert set(keys[0]) & set(keys[1])


def test_a_borrowed_span_lends_neither_time_nor_status() -> None:
    """On a span of the application, its times and a later error of its own are not the call's."""
    call = one(scope="app", name="app.handle_request", status=2)
    assert (call["status"], call["rank_timing"], call["rank_tokens"]) == ("ok", 90, 10)


@pytest.mark.parametrize(
    ("error", "role"),
    [
        ({"error.type": "BudgetExceededError"}, "refusal"),
        ({"error.type": "litellm.proxy._types.ProxyException"}, "refusal"),
        ({"error.type": "ProxyRateLimitError", "error.llm_provider": "litellm_proxy"}, "refusal"),
        ({"error.type": "OurOwnHookError"}, "refusal"),
        ({"error.type": "RateLimitError", "error.llm_provider": "openai"}, "call"),
        ({"error.type": "APIConnectionError", "hidden_params": '{"additional_headers": {"x": 1}}'}, "call"),
        ({"error.type": "ClientDisconnected", "error.code": "499"}, "call"),
        ({"error.type": "HTTPException", "llm.request.type": "pass_through_endpoint"}, "call"),
    ],
)
def test_refused_by_the_gateway(error: dict[str, str], role: str) -> None:
    """The gateway's own errors before a provider was called are refusals; a provider's failures are calls."""
    assert one({**PROXY, **NO_USAGE, **error}, status=2)["role"] == role


@pytest.mark.parametrize(
    "call_type", ["aget_responses", "list_input_items", "avector_store_list", "call_mcp_tool", "afile_list"]
)
def test_management_is_no_call_unless_it_bills(call_type: str) -> None:
    """Managing responses, files and stores asks no model; reading a finished job may carry its only usage."""
    assert observe(litellm_span({**NO_USAGE, "llm.request.type": call_type})) == []
    assert one({"llm.request.type": call_type})["role"] == "call"


@pytest.mark.parametrize(
    "call_type", ["acompletion", "create_interaction", "aimage_generation", "_arealtime", "arerank"]
)
def test_asking_a_model_is_a_call(call_type: str) -> None:
    """Whatever asks a model is a call, with usage or without."""
    assert one({**NO_USAGE, "llm.request.type": call_type})["role"] == "call"


def test_v2_refusal_is_told_by_the_server_span() -> None:
    """The v2 gateway's server span is a refusal when no deployment was selected, else only its call span counts."""
    server = {
        "kind": 2, "status": 2, "scope": "opentelemetry.instrumentation.fastapi", "events": {},
        "attributes": {"gen_ai.request.model": "smart", "litellm.api_key.hash": "h", "error.type": "ProxyException"},
    }  # fmt: skip
    selected = {**server, "events": {"litellm.request.deployment_selected": {"litellm.deployment.attempt": 1}}}
    assert [(seen["role"], seen["requested_model"]) for seen in observe(server)] == [("refusal", "smart")]
    assert observe(selected) == []


RAW = {"llm.anthropic.id": "msg_1", "llm.anthropic.model": "claude-sonnet-4-5", "llm.anthropic.role": "assistant"}


def test_raw_spans_count_beside_cached_tokens() -> None:
    """Anthropic's own usage leaves cached tokens out of the input, whatever the numbers; its id is not LiteLLM's."""
    usage = (
        "{'input_tokens': 500, 'cache_creation_input_tokens': 20, 'cache_read_input_tokens': 30, 'output_tokens': 14}"
    )
    (raw,) = observe({"attributes": {**RAW, "llm.anthropic.usage": usage}})
    assert (raw["role"], raw["input_tokens"], raw["output_tokens"], raw["response_id"]) == ("call", 550, 14, None)
    assert (raw["provider"], raw["model"], raw["rank_identity"]) == ("anthropic", "claude-sonnet-4-5", 60)


def test_raw_spans_without_usage_support() -> None:
    """A raw span without usage adds what it knows to its call and is none by itself."""
    (raw,) = observe({"attributes": {**RAW, "llm.anthropic.messages": "[]", "llm.anthropic.user": "u"}})
    assert (raw["role"], raw["end_user"]) == ("support", "u")


@pytest.mark.parametrize(
    "key", ["llm.request.messages", "llm.token_count.prompt", "llm.usage.total_tokens", "llm.model_name"]
)
def test_other_producers_llm_words_are_not_raw_spans(key: str) -> None:
    """OpenInference's and Traceloop's `llm.*` names are not taken for LiteLLM's raw spans."""
    assert observe({"attributes": {key: "x"}}) == []


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_python_repr_is_json(value: Any) -> None:
    """What Python prints of a dict is read back as the same JSON."""
    read = pl.select(python_repr(pl.lit(repr({"value": value})))).item()
    assert json.loads(read) == {"value": value}


@given(key=st.sampled_from(["tokens", "a.b-c"]), value=st.integers(0, 10**15), other=st.text(alphabet="abc '\"{}:,0"))
def test_numbers_are_found_without_parsing(key: str, value: int, other: str) -> None:
    """A number is found in JSON and Python repr alike, and no other key that merely ends like it."""
    said = {"x" + key: 1, key: value, "last": other}
    for text in (repr(said), json.dumps(said)):
        assert pl.select(number_at(pl.lit(text), key)).item() == str(value)
        assert pl.select(number_at(pl.lit(text), "absent")).item() is None


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters='"\\', min_codepoint=32, max_codepoint=126)))
def test_texts_are_found_without_parsing(value: str) -> None:
    """A plain text in JSON is found whole; null and nothing are unknown."""
    found = pl.select(text_at(pl.lit(json.dumps({"a": None, "k": value})), "k")).item()
    assert found == (None if value in ("", "None", "null") else value)
    assert pl.select(text_at(pl.lit('{"k": null}'), "k")).item() is None


def test_parts_end_with_their_brace() -> None:
    """A nested object's values are not mixed up with its neighbour's."""
    text = pl.lit("{'in': {'audio': 1}, 'out': {'audio': 2}}")
    assert pl.select(number_at(part_of(text, "out"), "audio")).item() == "2"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('["a", 1, null]', ["a", "1"]),
        ("['a', 'b']", ["a", "b"]),
        ("[]", []),
        ("a", None),
        ('{"a": 1}', None),
        ("[", None),
    ],
)
def test_lists_of_texts(text: str, values: list[str] | None) -> None:
    """JSON and Python-repr lists are lists of texts, anything else is unknown."""
    assert pl.DataFrame({"t": [text, None]}).select(text_list(pl.col("t")))["t"].to_list() == [values, None]


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"), ("o3-mini", "openai"), ("claude-3-5-haiku", "anthropic"),
        ("gemini-2.5-pro", "gcp.gemini"), ("us.anthropic.claude-3", "aws.bedrock"),
        ("ollama-thing", None), ("our-gpt-4", None), (None, None),
    ],
)  # fmt: skip
def test_providers_of_models(model: str | None, provider: str | None) -> None:
    """A bare model name gives its provider away only when one provider alone gives that name."""
    assert pl.DataFrame({"m": [model]}, {"m": pl.String}).select(provider_of_model(pl.col("m"))).item() == provider


def test_sheet_columns() -> None:
    """A sheet holds attributes, wildcards with what the star matched, events and resource, and nulls for the rest."""
    names = {"a", "llm.*.usage", "llm.*.usage@", "event:exception:exception.type", "resource:team", "nobody", "@name"}
    spans = (
        {"attributes": {"a": 1, "llm.openai.usage": "u", "llm.a.b.usage": "x"}, "name": "n"},
        {"attributes": {}, "events": {"exception": {"exception.type": "E"}}},
        {"attributes": {"other": 1}},
    )
    rows = Sheet(names)(batch_of(*spans, resource={"team": "core"})).select(sorted(names)).rows()
    assert rows == [
        ("n", "1", None, "u", "openai", None, "core"),
        ("litellm_request", None, "E", None, None, None, "core"),
    ]
