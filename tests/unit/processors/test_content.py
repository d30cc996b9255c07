"""The content policy: what is content, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_exporter.decode import Decoder
from processors.batch import Batch, Signal
from processors.chain import Choices, build, run
from processors.content import ContentPolicy, ContentProcessor
from processors.content_names import CHAT, CHAT_SIGNS
from processors.error_texts import GAP, PHRASES, known_phrases
from processors.normalise import Normalise
from processors.redact import Identity, RedactProcessor
from processors.refusals import refusals
from tests.corpus.cases import DATA
from tests.laws.batches import TEXT
from tests.unit.processors.planting import attribute, batch_with, places, planted, value_of
from tests.unit.processors.spans import NO_USAGE, PROXY, batch_of, litellm_span

KEY: Final = b"a key of at least sixteen bytes"
CANARY: Final = "the heron flies at midnight"
OPENAI: Final = "sk-" + "proj-abcDEF0123456789_-abcDEF0123"
SILENT: Final = [ContentPolicy.DROP, ContentPolicy.HASH]
DROP: Final = ContentProcessor()
_LISTED: Final = """
    gen_ai.input.messages gen_ai.output.messages gen_ai.system_instructions gen_ai.prompt gen_ai.completion
    gen_ai.prompt.0.content gen_ai.completion.0.content gen_ai.tool.call.arguments gen_ai.tool.call.result
    gen_ai.tool.definitions gen_ai.tool.args gen_ai.tool.0.description gen_ai.content.prompt llm.openai.messages
    llm.openai.choices llm.None.input llm.anthropic.system llm.gemini.contents llm.bedrock.anything_new
    llm.openai.stringified_raw_response llm.request.functions.0.parameters llm.input_messages.0.message.content
    llm.output_messages.0.message.contents.0.message_content.text llm.prompts.0.content llm.prompts
    llm.tools.0.tool.json_schema llm.invocation_parameters input.value output.value
    embedding.embeddings.0.embedding.text retrieval.documents.0.document.content traceloop.entity.input
    traceloop.entity.output pydantic_ai.all_messages all_messages_events model_request_parameters tool_arguments
    tool_response final_result ai.prompt ai.prompt.messages ai.prompt.tools ai.response.text ai.response.toolCalls
    ai.response.object ai.toolCall.args ai.toolCall.result ai.values langfuse.observation.input mlflow.spanInputs
    acme.metadata.previous_models http.request.body prompt user_prompt arguments output tool_parameters
    process.command_args metadata.mcp_tool_call_metadata request_data my_prompt acme.systemPrompt chat.user_message
"""
LISTED: Final = _LISTED.split()
KNOWN: Final = {
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.id": "chatcmpl-90b0e3e9a09a42eaaf86453e",
    "gen_ai.system": "openai",
    "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.usage.input_tokens": "25",
    "gen_ai.usage.prompt_tokens": "25",
    "gen_ai.usage.completion_tokens": "12",
    "llm.token_count.prompt": "25",
    "llm.token_count.completion": "12",
    "llm.cost.prompt": "0.1",
    "gen_ai.cost.input_cost": "0.1",
    "gen_ai.output.type": "text",
    "gen_ai.tool.name": "weather",
    "gen_ai.tool.0.name": "weather",
    "gen_ai.tool.call.id": "call_1",
    "gen_ai.conversation.id": "sess-9",
    "gen_ai.prompt.name": "greeting",
    "llm.openai.usage": "{'completion_tokens': 12, 'prompt_tokens': 25}",
    "llm.openai.id": "chatcmpl-1",
    "llm.openai.model": "gpt-4o-mini",
    "llm.openai.temperature": "0.3",
    "llm.model_name": "m",
    "llm.request.type": "acompletion",
    "llm.response.model_name": "m",
    "input.mime_type": "application/json",
    "hidden_params": '{"model_id": "x", "cache_key": null, "api_base": "https://api.openai.com/v1"}',
    "metadata.requester_metadata": "{'user_id': 'u-42', 'feature': 'checkout', 'tags': ['prod'], 'session_id': 's'}",
    "metadata.requester_custom_headers": "{'x-lang': 'python', 'content-type': 'application/json', 'accept': '*/*'}",
    "metadata.usage_object": "{'completion_tokens': 14, 'prompt_tokens': 21, 'details': {'text_tokens': 21}}",
    "metadata.user_api_key_hash": "2ab06cfadcdcc1bb1a1ff9edefb028084a837b3ed7b95f97e602b960ee127471",
    "team.id": "t",
    "ai.response.id": "resp_1",
    "ai.usage.promptTokens": "25",
    "ai.telemetry.metadata.userId": "u-42",
    "prompt.id": "p-1",
    "prompt_length": "42",
    "input_token_count": "25",
    "error.type": "RateLimitError",
    "exception.type": "ValueError",
    "message": "short",
    "http.route": "/v1/chat/completions",
    "url.query": "q=1",
    "db.statement": "SELECT 1",
    "gen_ai.usage.cost": "0.1",
    "operation.cost": "0.1",
    "litellm.request.tools.declared": "1",
    "tool.name": "weather",
}


@pytest.mark.parametrize("key", LISTED)
def test_content_goes(key: str) -> None:
    """By default an attribute that carries content is gone, at every level, and no other."""
    levels = [attribute(key, CANARY, level=level) for level in ("resource", "scope", "record")]
    after = DROP(batch_with(*levels, attribute("gen_ai.request.model", "gpt-4o")))
    assert after.attributes["key"].to_list() == ["gen_ai.request.model"]


def test_what_is_known_stays() -> None:
    """Models, ids, tokens, costs, finish reasons, tool names and metadata are no content."""
    after = DROP(batch_with(*(attribute(key, value) for key, value in KNOWN.items())))
    assert dict(after.attributes.select("key", "value").iter_rows()) == KNOWN


def test_names_nobody_listed() -> None:
    """Under a name that only sounds like content a long text is content; a short one, or a number, is not."""
    long = CANARY * 3
    batch = batch_with(
        attribute("acme.reply.text", long),
        attribute("acme.query", "short"),
        attribute("acme.size.text", "1" * 80, kind="int"),
        attribute("acme.prompts", "12"),
        attribute("acme.note", long),
    )
    assert DROP(batch).attributes["key"].to_list() == ["acme.query", "acme.size.text", "acme.prompts", "acme.note"]


@pytest.mark.parametrize(
    "chat",
    [
        f'[{{"role": "user", "content": "{CANARY}"}}]',
        f"[{{'role': 'user', 'parts': [{{'type': 'text', 'content': '{CANARY}'}}]}}]",
        f'{{"model": "m", "messages":[{{"role":"user","content":"{CANARY}"}}]}}',
        f'{{"body": "{{\\"messages\\": [{{\\"content\\": \\"{CANARY}\\"}}]}}"}}',
        f'{{"choices": [{{"message": {{"content": "{CANARY}"}}}}]}}',
        f'[{{"type": "text", "text": "{CANARY}"}}]',
    ],
)
def test_a_chat_is_content_under_any_name(chat: str) -> None:
    """A value that is itself a chat, in JSON or Python's spelling, is content whatever it is called."""
    assert DROP(batch_with(attribute("x.y", chat))).attributes.is_empty()


@pytest.mark.parametrize(
    "event", ["gen_ai.content.prompt", "gen_ai.user.message", "gen_ai.choice", "gen_ai.tool.message"]
)
def test_content_events(event: str) -> None:
    """On an event or log record made for content every text is content, but for role, index and the like."""
    rows = [("new", CANARY), ("role", "user"), ("gen_ai.system", "openai"), ("index", "0"), ("finish_reason", "stop")]
    span = DROP(batch_with(*(attribute(key, value, level="event") for key, value in rows), event=event))
    logs = batch_with(
        *(attribute(key, value) for key, value in rows),
        signal=Signal.LOGS,
        event=event,
        body=("kvlist", f'{{"content": "{CANARY}"}}'),
    )
    for after in (span, DROP(logs)):
        assert after.attributes["key"].to_list() == ["role", "gen_ai.system", "index", "finish_reason"]
        assert places(after, CANARY) == []


@pytest.mark.parametrize(
    ("name", "body", "stays"),
    [
        ("user_prompt", "claude_code.user_prompt", True),
        ("codex.user_prompt", "codex.user_prompt", True),
        ("api_request", "claude_code.api_request", True),
        ("user_prompt", CANARY, False),
        ("gen_ai.client.inference.operation.details", CANARY, False),
        ("", CANARY, False),
    ],
)
def test_bodies(name: str, body: str, stays: bool) -> None:
    """The body of a log record about a call is content, unless it is only the event's name."""
    batch = batch_with(
        attribute("event.name", name),
        signal=Signal.LOGS,
        scope="com.anthropic.claude_code.events",
        body=("string", body),
    )
    expected = ("string", body) if stays else ("empty", "")
    assert DROP(batch).records.select("body_type", "body").row(0) == expected


def test_other_logs_stay() -> None:
    """The body of an application's log record is nobody's prompt."""
    batch = batch_with(signal=Signal.LOGS, scope="my.app", body=("string", CANARY))
    assert DROP(batch).records.equals(batch.records)


def failing(text: str, scope: str = "litellm") -> Batch:
    """A failed span whose every text about the failure is ``text``."""
    return batch_with(
        attribute("error.message", text),
        attribute("error.type", "BadRequestError"),
        attribute("error.stack_trace", text),
        attribute("exception.message", text, level="event"),
        attribute("exception.stacktrace", f'File "a.py", line 1\n{text}', level="event"),
        attribute("exception.type", "openai.BadRequestError", level="event"),
        scope=scope,
        status=text,
        event="exception",
    )


@pytest.mark.parametrize("policy", SILENT)
@pytest.mark.parametrize("scope", ["litellm", "my.app"])
def test_failures_quote_nothing(policy: ContentPolicy, scope: str) -> None:
    """Messages, stack traces and statuses that quote a prompt keep their known phrases only, in the application's spans
    above the call too; class and code of the failure stay.
    """
    after = ContentProcessor(policy, KEY)(failing(f"Error code: 400 - {{'message': 'Invalid: {CANARY}'}}", scope))
    assert places(after, CANARY) == []
    assert value_of(after, "error.message") == value_of(after, "exception.message") == f"Error code: 400 {GAP}"
    assert after.records["status_message"].to_list() == [f"Error code: 400 {GAP}"]
    assert value_of(after, "exception.type") == "openai.BadRequestError"


def test_other_failures_stay() -> None:
    """A failure that has nothing to do with a call is told as it was."""
    batch = batch_with(
        attribute("exception.message", "boom", level="event"),
        attribute("exception.stacktrace", "Traceback: boom", level="event"),
        attribute("exception.type", "ValueError", level="event"),
        scope="my.app",
        status="boom",
        event="exception",
    )
    after = DROP(batch)
    assert after.attributes.equals(batch.attributes)
    assert after.records.equals(batch.records)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (
            (
                "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached for gpt-4o in org-x "
                "on requests per min (RPM): Limit 3"
            ),
            (
                "litellm.RateLimitError [...] RateLimitError [...] OpenAIException [...] Rate limit reached [...] "
                "on requests per min (RPM): Limit 3 [...]"
            ),
        ),
        (
            "This model's maximum context length is 8192 tokens. Tell me a tale",
            "maximum context length is 8192 tokens [...]",
        ),
        ("No connected db.", "No connected db."),
        (CANARY, GAP),
        ("", ""),
    ],
)
def test_known_phrases(text: str, known: str) -> None:
    """Phrases of providers and gateways stay, what stands between them does not."""
    assert known_phrases(pl.Series([text])).to_list() == [known]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, max_size=6))
def test_phrases_settle(texts: list[str]) -> None:
    """Nothing but known phrases is left, and it stays."""
    known = known_phrases(pl.Series(texts, dtype=pl.String))
    assert known_phrases(known).to_list() == known.to_list()
    rest = known.str.replace_all("|".join(PHRASES), "").str.replace_all(r"[\[\]. !\r\n]", "")
    assert set(rest) <= {""}


@pytest.mark.parametrize(
    "error",
    [
        {"error.type": "ProxyException", "error.message": "ExceededBudget: Team=x over budget"},
        {"error.type": "HTTPException", "error.message": "Max parallel requests reached"},
        {"error.type": "HTTPException", "error.message": "{'error': 'Violated guardrail policy', 'x': 'y'}"},
        {"error.type": "ProxyException", "error.message": "team not allowed to access model. Tried to access gpt-5"},
        {"error.type": "ProxyException", "error.message": "Invalid model name passed in model=x"},
        {"error.type": "ProxyException", "error.message": "Authentication Error, Invalid proxy server token passed"},
        {"error.type": "ProxyException", "error.message": "No connected db."},
    ],
)
def test_refusals_keep_their_reason(error: dict[str, str]) -> None:
    """Why a gateway refused a request, which is read after the policy, can still be read."""
    batch = Normalise()(batch_of(litellm_span({**PROXY, **NO_USAGE, **error}, status=2)))
    assert refusals(DROP(batch)).row(0) == refusals(batch).row(0)
    assert refusals(batch)["reason"][0] != "other"


def test_hash() -> None:
    """With `hash` equal texts stay equal and different ones different, as strings, under one key."""
    batch = batch_with(
        attribute("gen_ai.prompt", CANARY),
        attribute("input.value", CANARY, kind="kvlist"),
        attribute("output.value", "else"),
    )
    rows = ContentProcessor(ContentPolicy.HASH, KEY)(batch).attributes
    first, second, third = rows["value"]
    assert first == second != third
    assert first.startswith("hmac-sha256:")
    assert len(first) == len("hmac-sha256:") + 16
    assert set(rows["type"]) == {"string"}
    assert ContentProcessor(ContentPolicy.HASH, KEY[::-1])(batch).attributes["value"][0] != first


def test_hash_needs_a_key() -> None:
    """Without a key the texts behind the hashes could be tried out, so none are made."""
    with pytest.raises(ValueError, match="16 bytes"):
        ContentProcessor(ContentPolicy.HASH)


def test_redact() -> None:
    """With `redact` content stays, without the secrets and personal data in it."""
    batch = batch_with(attribute("gen_ai.prompt", f"{CANARY}: {OPENAI}, jane@example.org, 8.8.8.8"))
    value = value_of(ContentProcessor(ContentPolicy.REDACT)(batch), "gen_ai.prompt")
    assert value == f"{CANARY}: [REDACTED:openai_key], [REDACTED:email], [REDACTED:ip_address]"


def test_keep() -> None:
    """With `keep` content stays as it is; only secrets leave it, an e-mail address in it stays."""
    batch = batch_with(
        attribute("gen_ai.prompt", f"{CANARY}: {OPENAI} jane@example.org"), attribute("note", "joe@example.org")
    )
    after = run((ContentProcessor(ContentPolicy.KEEP), RedactProcessor()), batch)
    assert value_of(after, "gen_ai.prompt") == f"{CANARY}: [REDACTED:openai_key] jane@example.org"
    assert value_of(after, "note") == "[REDACTED:email]"


@pytest.mark.parametrize("policy", list(ContentPolicy))
@pytest.mark.parametrize("identity", list(Identity))
@pytest.mark.parametrize("signal", list(Signal))
def test_the_whole_chain(policy: ContentPolicy, identity: Identity, signal: Signal) -> None:
    """After all processors a planted secret is nowhere, under any policy."""
    batch = planted(signal, OPENAI)
    chain = build(choices=Choices(policy, identity=identity, key=KEY))
    assert places(run(chain, batch), OPENAI) == []


#: What the fake provider of the captures was asked and answered.
SAID: Final = (
    "Hello from the fake",
    "Say hello",
    "You are terse",
    "Be terse",
    "Weather in Paris",
    "18C sunny",
    "Get weather",
)


@pytest.mark.parametrize("policy", SILENT)
@pytest.mark.parametrize("path", sorted(DATA.rglob("*.pb")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_exports(path: Path, policy: ContentPolicy) -> None:
    """Nothing that was said is left in real exports of any producer, and no token count, cost or id is missing."""
    batch = Decoder(None).decode(Signal(path.name.split(".")[-2]), [path.read_bytes()], "t")
    after = ContentProcessor(policy, KEY)(batch)
    assert [place for text in SAID for place in places(after, text)] == []
    known = pl.col("key").str.contains(r"tokens?$|cost|\.id$|_id$|model$|finish_reason|user_api_key|hidden_params")
    known &= ~pl.col("key").str.contains("_messages")
    assert after.attributes.filter(known).equals(batch.attributes.filter(known))


@settings(max_examples=200, deadline=None)
@given(st.from_regex(CHAT))
def test_no_chat_without_a_sign(chat: str) -> None:
    """The literals looked for first are in every chat, so that nothing hides behind them."""
    texts = pl.Series([chat])
    assert not texts.str.contains(CHAT)[0] or texts.str.contains(CHAT_SIGNS)[0]
