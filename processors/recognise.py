"""Find what a batch carries of content: attributes, log bodies, and texts about failures that may quote it.

Whether something is content depends on the row and its own record only, never on the neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from processors import content_names as names
from processors.batch import LEVEL, Batch, Signal
from processors.vocabulary import Vocabulary

#: Kinds of attribute names.
CONTENT, PLAIN, NET, ERROR, STACK, ERROR_TYPE = "content", "plain", "net", "error", "stack", "error_type"
Kinds = Mapping[str, Sequence[str]]
TEXTUAL: Final = ("string", "array", "kvlist", "bytes")
_CHAT_LENGTH: Final = 24
_NUMBER: Final = r"^[0-9.,eE+-]{0,40}$"
_JOINT: Final = "\x00"
#: Coding agents put ``claude_code.user_prompt`` in the body where the attribute says ``user_prompt``.
_EVENT_NAMES: Final = ("event.name", "event_name")
_FAILURE: Final = r"(?i)^[\w./: -]{0,100}(?:exception|error|fail(?:ed|ure)|refus(?:al|ed))$"
_AGENT: Final = r"^(?:claude_code|codex|gemini_cli|copilot_chat)\."


def is_content_name() -> pl.Expr:
    """True for a ``name`` that is listed: its value is content whatever it is."""
    raw = names.named("name", names.RAW) & ~names.named("name", names.RAW_SAFE)
    return (names.named("name", names.CONTENT) | raw) & ~names.named("name", names.NOT_CONTENT)


def is_plain_name() -> pl.Expr:
    """True for a ``name`` that is not listed and says plainly that its value is content."""
    return names.named("name", names.PLAIN) & ~names.named("name", names.NET_SAFE)


def content_kinds() -> Vocabulary:
    """Kinds of attribute names: text of a failure, stack trace, content, plainly content, perhaps content (the net)."""
    return Vocabulary(
        {
            STACK: names.named("name", names.STACK_TRACES),
            ERROR: names.named("name", names.ERROR_TEXTS),
            ERROR_TYPE: names.named("name", names.ERROR_TYPES),
            CONTENT: is_content_name(),
            PLAIN: is_plain_name(),
            NET: names.named("name", names.NET) & ~names.named("name", names.NET_SAFE),
        }
    )


def genai_kinds() -> Vocabulary:
    """The names of attributes that only records about LLM calls carry."""
    return Vocabulary({"genai": names.named("name", names.GENAI_NAMES)})


def content_attributes(batch: Batch, kinds: Kinds) -> pl.Series:
    """One boolean per attribute: its value is content."""
    attributes = batch.attributes
    listed = attributes["key"].is_in(kinds[CONTENT])
    long = ~listed & (attributes["value"].str.len_bytes() > _CHAT_LENGTH).fill_null(False)
    named = _plain(attributes, kinds) | _netted(attributes, kinds)
    return listed | named | _chats(attributes["value"], long) | _on_content_events(batch)


def _plain(attributes: pl.DataFrame, kinds: Kinds) -> pl.Series:
    """Texts, but no numbers, under names that say content plainly."""
    if not kinds[PLAIN]:
        return _none(attributes)
    caught = pl.col("key").is_in(kinds[PLAIN]) & pl.col("type").is_in(TEXTUAL)
    number = pl.col("value").str.contains(_NUMBER)
    return attributes.select((caught & ~number).fill_null(False)).to_series()


def _netted(attributes: pl.DataFrame, kinds: Kinds) -> pl.Series:
    """Long texts under names that look like content."""
    if not kinds[NET]:
        return _none(attributes)
    caught = pl.col("key").is_in(kinds[NET]) & pl.col("type").is_in(TEXTUAL)
    long = pl.col("value").str.len_bytes() > names.NET_LENGTH
    return attributes.select((caught & long).fill_null(False)).to_series()


def _chats(values: pl.Series, candidates: pl.Series) -> pl.Series:
    """Texts that are a chat themselves, under whatever name."""
    joined = values.filter(candidates).str.join(_JOINT)
    if not joined.str.contains(names.CHAT_SIGNS).any() or not joined.str.contains(names.CHAT).any():
        return _none(values)
    return values.str.contains(names.CHAT).fill_null(False) & candidates


def _none(rows: pl.Series | pl.DataFrame) -> pl.Series:
    return pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)


def _on_content_events(batch: Batch) -> pl.Series:
    """Texts on span events and log records made to carry content, but for their ids, roles and the like."""
    attributes, owners = batch.attributes, _content_events(batch)
    if owners.is_empty():
        return _none(attributes)
    carried = owners.with_columns(carried=True)
    joined = attributes.join(carried, on=["level", "owner"], how="left", maintain_order="left")
    carries = pl.col("carried").fill_null(False) & pl.col("type").is_in(TEXTUAL)
    return joined.select(carries & ~names.named("key", names.EVENT_SAFE)).to_series()


def _content_events(batch: Batch) -> pl.DataFrame:
    """(level, owner) of the span events and log records made to carry content."""
    if batch.signal is Signal.LOGS:
        level, events = "record", event_names(batch).rename({"record": "owner"})
    else:
        level, events = "event", batch.events.select(owner="event", event="name")
    made_for_it = events.filter(names.named("event", names.CONTENT_EVENTS))
    return made_for_it.select(pl.lit(level, LEVEL).alias("level"), "owner").unique()


def event_names(batch: Batch) -> pl.DataFrame:
    """(record, event) of log records: the field, else the attribute ``event.name``, else ``event_name``; '' if none."""
    said = batch.attributes.filter((pl.col("level") == "record") & pl.col("key").is_in(_EVENT_NAMES))
    said = said.sort("key", maintain_order=True).unique("owner", keep="first").select(record="owner", said="value")
    field = pl.when(pl.col("event_name") != "").then("event_name")
    return batch.records.join(said, on="record", how="left", maintain_order="left").select(
        "record", event=pl.coalesce(field, "said").fill_null("")
    )


def bodies(batch: Batch, genai: Vocabulary) -> tuple[pl.Series, pl.Series]:
    """Two booleans per log record: its body is content, its body is a text about a failure.

    The body of a record about an LLM call is content, unless it is only the event's name or tells of a failure.
    """
    texts = event_names(batch).with_columns(body=batch.records["body"].fill_null(""), call=genai_records(batch, genai))
    is_name = pl.col("body").str.replace(_AGENT, "") == pl.col("event").str.replace(_AGENT, "")
    told = (pl.col("call") | names.named("event", names.CONTENT_EVENTS)) & ~is_name & (pl.col("body") != "")
    failure = told & pl.col("event").str.contains(_FAILURE)
    chat = pl.col("body").str.contains(names.CHAT)
    found = texts.select(content=(told & ~failure) | chat, failure=failure & ~chat)
    return found["content"], found["failure"]


def genai_records(batch: Batch, vocabulary: Vocabulary) -> pl.Series:
    """One boolean per record: it belongs to an LLM call, as its attributes, its scope or its event name say."""
    attributes = batch.attributes.filter(pl.col("level") == "record")
    marked = attributes.filter(pl.col("key").is_in(vocabulary(attributes["key"])["genai"]))["owner"]
    scopes = batch.scopes.filter(names.named("name", names.GENAI_SCOPES))["scope"]
    records = batch.records
    told = records["record"].is_in(marked.unique().implode()) | records["scope"].is_in(scopes.implode())
    if batch.signal is Signal.LOGS:
        told |= event_names(batch).select(names.named("event", names.GENAI_EVENTS)).to_series()
    return told
