"""Random batches of every signal, made of what breaks processors: secrets, chats, odd spellings, nothing at all."""

from __future__ import annotations

from typing import Any, Final

import polars as pl
from hypothesis import strategies as st

from processors.batch import (
    ATTRIBUTES,
    EVENTS,
    EXEMPLARS,
    LINKS,
    RECORDS,
    RESOURCES,
    SCOPES,
    Batch,
    Signal,
    empty,
)
from processors.families import PERSONAL, SECRETS

#: Texts a processor has to do something with, and their like that it must leave.
PIECES: Final = (
    *(example for family in SECRETS + PERSONAL for example in (*family.examples, *family.leaves)),
    *(cleaned for family in SECRETS + PERSONAL for cleaned in family.examples.values()),
    '[{"role": "user", "content": "What is the capital of France?"}]',
    "[{'role': 'user', 'parts': [{'type': 'text', 'content': 'What is it?'}]}]",
    '{"messages": [{"role": "user", "content": "x"}]}',
    "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached for gpt-4o: Limit 3",
    "Error code: 400 - {'error': {'message': 'Invalid prompt: tell me a story about a fox'}}",
    'Traceback (most recent call last):\n  File "app.py", line 1, in f\nValueError: boom',
    "hmac-sha256:0123456789abcdef",
    "[...]",
    "chatcmpl-90b0e3e9a09a42eaaf86453e",
    "gpt-4o-mini",
    "claude_code.user_prompt",
    "exception",
    "25",
    "",
    "\x00",
    "\\",
    '"',
    "ünïcödé 漢字 🦊",
    "x" * 70,
)
KEYS: Final = (
    "gen_ai.input.messages",
    "gen_ai.prompt",
    "gen_ai.request.model",
    "gen_ai.response.id",
    "gen_ai.usage.input_tokens",
    "gen_ai.system",
    "gen_ai.tool.call.arguments",
    "llm.openai.messages",
    "llm.openai.usage",
    "litellm.call_id",
    "metadata.requester_metadata",
    "metadata.user_api_key_hash",
    "metadata.user_api_key_user_email",
    "hidden_params",
    "http.request.header.authorization",
    "api_key",
    "exception.message",
    "exception.stacktrace",
    "exception.type",
    "error.message",
    "event.name",
    "service.name",
    "user.email",
    "my_prompt",
    "note",
    "message",
    "",
)
_FRAGMENT: Final = st.sampled_from(PIECES) | st.text(max_size=12)
TEXT: Final = st.lists(_FRAGMENT, min_size=0, max_size=3).map(" ".join) | _FRAGMENT
_KEY: Final = st.sampled_from(KEYS) | st.text(max_size=8) | st.sampled_from(PIECES)
_NAME: Final = (
    st.sampled_from(
        (
            "litellm_request",
            "chat gpt-4o",
            "gen_ai.content.prompt",
            "gen_ai.user.message",
            "exception",
            "user_prompt",
            "",
        )
    )
    | TEXT
)
_TYPE: Final = st.sampled_from(
    ("string", "string", "string", "kvlist", "array", "bytes", "int", "double", "bool", "empty")
)
_HEX: Final = st.integers(min_value=0, max_value=3)
_TIME: Final = st.sampled_from((0, 1, 1_780_000_000_000_000_000, 2**64 - 1))


@st.composite
def batches(draw: st.DrawFn, signal: Signal, largest: int = 4) -> Batch:
    """A batch of up to ``largest`` records."""
    count = st.integers(min_value=0, max_value=largest)
    resources = [(number, draw(_NAME)) for number in range(draw(count) or 1)]
    scopes = [(n, draw(_index(resources)), draw(_SCOPE), draw(TEXT), "") for n in range(draw(count) or 1)]
    records = [draw(_RECORD[signal](n, draw(_index(resources)), draw(_index(scopes)))) for n in range(draw(count))]
    children = draw(count) if records else 0
    events = [
        (n, draw(_index(records)), draw(_TIME), draw(_NAME)) for n in range(children if signal is Signal.TRACES else 0)
    ]
    links = [(n, draw(_index(records)), "ab" * 16, "cd" * 8, draw(TEXT)) for n in range(len(events))]
    exemplars = [
        (n, draw(_index(records)), 1, 0.5, "cd" * 8, "ab" * 16)
        for n in range(children if signal is Signal.METRICS else 0)
    ]
    owners = {
        "resource": resources,
        "scope": scopes,
        "record": records,
        "event": events,
        "link": links,
        "exemplar": exemplars,
    }
    attributes = draw(st.lists(_attribute({level: len(rows) for level, rows in owners.items() if rows}), max_size=12))
    rows: dict[str, tuple[list[Any], pl.Schema]] = {
        "resources": (resources, RESOURCES),
        "scopes": (scopes, SCOPES),
        "records": (records, RECORDS[signal]),
        "events": (events, EVENTS),
        "links": (links, LINKS),
        "exemplars": (exemplars, EXEMPLARS),
        "attributes": (attributes, ATTRIBUTES),
    }
    frames = {name: pl.DataFrame(some, schema=schema, orient="row") for name, (some, schema) in rows.items()}
    return empty(signal, "t").with_frames(**frames)


def _index(rows: list[Any]) -> st.SearchStrategy[int]:
    return st.integers(min_value=0, max_value=len(rows) - 1)


@st.composite
def _attribute(draw: st.DrawFn, owners: dict[str, int]) -> tuple[str, int, str, str, str]:
    level = draw(st.sampled_from(sorted(owners)))
    kind = draw(_TYPE)
    value = draw(
        st.sampled_from(("1", "4111111111111111", "0.5", "true")) if kind in ("int", "double", "bool") else TEXT
    )
    return level, draw(st.integers(min_value=0, max_value=owners[level] - 1)), draw(_KEY), kind, value


_SCOPE: Final = st.sampled_from(("litellm", "my.app", "openinference.instrumentation.openai", "")) | TEXT


@st.composite
def _span(draw: st.DrawFn, number: int, resource: int, scope: int) -> tuple[Any, ...]:
    ids = (f"{draw(_HEX):032x}", f"{number:016x}", f"{draw(_HEX):016x}")
    return (
        number,
        resource,
        scope,
        *ids,
        draw(TEXT),
        draw(_NAME),
        draw(_HEX),
        draw(_TIME),
        draw(_TIME),
        draw(_HEX),
        draw(TEXT),
        0,
    )


@st.composite
def _log(draw: st.DrawFn, number: int, resource: int, scope: int) -> tuple[Any, ...]:
    ids = (f"{draw(_HEX):032x}", f"{number:016x}")
    body = (draw(_TYPE), draw(_NAME))
    return (number, resource, scope, draw(_TIME), draw(_TIME), 9, draw(TEXT), draw(_NAME), *body, *ids, 0)


@st.composite
def _point(draw: st.DrawFn, number: int, resource: int, scope: int) -> tuple[Any, ...]:
    point = {**dict.fromkeys(RECORDS[Signal.METRICS]), "record": number, "resource": resource, "scope": scope}
    point |= {
        "kind": "sum",
        "name": draw(_NAME),
        "description": draw(TEXT),
        "unit": draw(TEXT),
        "value": 1.5,
        "time": draw(_TIME),
    }
    return tuple(point.values())


_RECORD: Final = {Signal.TRACES: _span, Signal.LOGS: _log, Signal.METRICS: _point}
