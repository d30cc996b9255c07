"""The columns of a call: the one list that the ledger, the `genai_calls` view, the dialects and the documents follow.

A dialect fills the columns marked ``said`` of an *observation* (one span, log record or imported row); `post` joins
observations into calls; `price` fills the money. Names change only by adding (DESIGN 5.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import polars as pl

MONEY: Final = pl.Decimal(38, 12)
MOMENT: Final = pl.Datetime("ns", "UTC")
TEXTS: Final = pl.List(pl.String)
MAP: Final = pl.Map(pl.String, pl.String)

Dtype = pl.DataType | type[pl.DataType]


def schema(columns: Mapping[str, Dtype]) -> pl.Schema:
    """A Polars schema, typed."""
    return pl.Schema(columns)


class Group(StrEnum):
    """Fields that come from the same kind of source: an observation carries one rank per group (lower is better)."""

    IDENTITY = "identity"  # model, provider, operation, ids
    TOKENS = "tokens"
    COST = "cost"
    CALLER = "caller"  # who asked, as the calling application says
    GATEWAY = "gateway"  # who asked, as the gateway's key says
    TIMING = "timing"
    OUTCOME = "outcome"  # status, errors, finish reasons


@dataclass(frozen=True)
class Column:
    """One column of a call.

    ``clickhouse`` is the type in `genai_ledger`; ``group`` is None for what the join or the price book derives.
    """

    name: str
    clickhouse: str
    polars: Dtype
    meaning: str
    group: Group | None = None


TEXT, LOW = "String", "LowCardinality(String)"
U64, F64, BOOL, USD = "Nullable(UInt64)", "Nullable(Float64)", "Nullable(Bool)", "Nullable(Decimal(38, 12))"
_I, _T, _C, _A, _G, _W, _O = (
    Group.IDENTITY,
    Group.TOKENS,
    Group.COST,
    Group.CALLER,
    Group.GATEWAY,
    Group.TIMING,
    Group.OUTCOME,
)


def _text(name: str, meaning: str, group: Group | None = None, *, many: bool = False) -> Column:
    """Text; ``many`` marks values with many distinct spellings (no dictionary encoding)."""
    return Column(name, TEXT if many else LOW, pl.String, meaning, group)


def _tokens(name: str, meaning: str) -> Column:
    return Column(name, U64, pl.UInt64, meaning, _T)


def _usd(name: str, meaning: str, group: Group | None = None) -> Column:
    return Column(name, USD, MONEY, meaning, group)


def _list(name: str, meaning: str, group: Group | None = None) -> Column:
    return Column(name, "Array(LowCardinality(String))", TEXTS, meaning, group)


CALL: Final[tuple[Column, ...]] = (
    _text("call_key", "this call", many=True),
    _text("request_key", "the logical request it belongs to; all attempts share it, when known", many=True),
    Column("attempt", "Nullable(UInt16)", pl.UInt16, "position among the attempts of the request, from 1"),
    Column("is_final", BOOL, pl.Boolean, "whether this attempt's result reached the caller"),
    _text("retry_of", "call_key of the attempt before", many=True),
    _text("fallback_from", "model or model group fallen back from"),
    Column("started_at", "DateTime64(9, 'UTC')", MOMENT, "start, of the best timing source", _W),
    Column("ended_at", "DateTime64(9, 'UTC')", MOMENT, "end, of the best timing source", _W),
    Column("duration_ms", F64, pl.Float64, "milliseconds from start to end", _W),
    Column("ttft_ms", F64, pl.Float64, "milliseconds to the first token", _W),
    Column("gateway_overhead_ms", F64, pl.Float64, "milliseconds the gateway added", _W),
    _text("tenant", "whose data this is: decided by the ingest credential, never by the payload"),
    _text("organization", "organisation name", _G),
    _text("organization_id", "organisation id", _G),
    _text("team", "team name (gateway team alias, else the caller's resource attribute `team`)", _G),
    _text("team_id", "team id", _G),
    _text("project", "project name", _G),
    _text("project_id", "project id", _G),
    _text("user_id", "the user owning the key, else the user the application named", _G, many=True),
    _text("end_user", "the `user` parameter of the request: the application's own customer", _A, many=True),
    _text("api_key_alias", "name of the gateway key", _G),
    _text("api_key_hash", "hash of the gateway key", _G),
    _text("cost_center", "from the enrichment tables"),
    _text("owner", "from the enrichment tables"),
    Column("labels", "Map(LowCardinality(String), String)", MAP, "from the enrichment tables"),
    _text("application", "the caller's service, never the gateway's own name when the caller is known", _A),
    _text("environment", "deployment environment, when somebody said it", _A),
    _text("host", "host of the caller", _A),
    _text("user_agent", "client software", _A),
    _text("session_id", "conversation or session", _A, many=True),
    _text("agent", "agent name", _A),
    _list("tags", "request tags", _A),
    _text("provider", "semconv spelling: openai, anthropic, aws.bedrock, azure.ai.openai, gcp.vertex_ai ...", _I),
    _text("operation", "chat, embeddings, responses, text_completion, generate_content ...", _I),
    _text("requested_model", "what the client asked for (may be an alias); LiteLLM's model_group", _I),
    _text("model", "the provider's model that was priced", _I),
    _text("response_model", "model as reported in the answer", _I),
    _text("response_id", "id of the answer, as reported", _I, many=True),
    _text("deployment_id", "gateway deployment; LiteLLM's model_id", _I),
    _text("api_base", "where the gateway or client sent it", _I),
    _text("service_tier", "service tier as reported", _I),
    _text("gateway", "litellm, or '' for a direct call", _I),
    Column("streaming", BOOL, pl.Boolean, "whether the answer was streamed", _I),
    Column("cache_hit", BOOL, pl.Boolean, "answered from the gateway's cache", _I),
    _list("guardrails", "guardrails applied or triggered", _O),
    Column("status", "Enum8('ok' = 1, 'error' = 2)", pl.String, "ok or error", _O),
    _text("error_type", "error class", _O),
    _text("error_code", "HTTP status where known", _O),
    _list("finish_reasons", "why the model stopped", _O),
    _tokens("input_tokens", "input, including cache-read and cache-write tokens, whatever the dialect said"),
    _tokens("cache_read_tokens", "input read from the provider's prompt cache"),
    _tokens("cache_write_tokens", "input written to the prompt cache, including the one-hour part"),
    _tokens("cache_write_1h_tokens", "input written to the one-hour prompt cache"),
    _tokens("output_tokens", "output, including reasoning"),
    _tokens("reasoning_tokens", "output spent on reasoning"),
    _tokens("audio_input_tokens", "audio input"),
    _tokens("audio_output_tokens", "audio output"),
    _tokens("image_tokens", "image tokens"),
    Column("input_includes_cached", BOOL, pl.Boolean, "what the emitter meant by input tokens, as resolved", _T),
    _usd("cost_usd", "the estimate we stand by: input + output + cache + other - discount + margin"),
    _usd("cost_input_usd", "uncached input"),
    _usd("cost_output_usd", "output"),
    _usd("cost_cache_usd", "cache reads and writes"),
    _usd("cost_other_usd", "what a reported total holds beyond the parts, tools, per-request fees"),
    _usd("discount_usd", "discount"),
    _usd("margin_usd", "margin"),
    _text("cost_source", "provider, gateway, client, local or none"),
    _usd("cost_reported_usd", "what the best reporting source said", _C),
    _usd("cost_local_usd", "what the local price book says"),
    _usd("saved_usd", "what a gateway cache hit saved"),
    _text("price_version", "price book entry used"),
    _text("trace_id", "of the best observation, lower-case hex", many=True),
    _text("span_id", "of the best observation, lower-case hex", many=True),
    _text("parent_span_id", "of the best observation, lower-case hex", many=True),
    Column("observations", "UInt16", pl.UInt16, "how many observations were joined"),
    _list("sources", "which dialects saw it"),
    _text("merged_by", "why its observations are one call"),
    _list("issues", "what could not be known, or disagrees"),
)

#: How the ledger finds and proves a call; not part of the `genai_calls` view.
BOOKKEEPING: Final[tuple[Column, ...]] = (
    Column("observation_ids", "Array(String)", TEXTS, "the observations joined here"),
    Column(
        "handles",
        "Array(String)",
        TEXTS,
        "every identity key, trace (`trace:<id>`) and request (`request:<name>`) this call can be found by",
    ),
    Column(
        "said",
        "Array(Map(LowCardinality(String), String))",
        pl.List(MAP),
        "one map per observation: everything it said, so that the join can be computed again",
    ),
    Column("posted_at", "DateTime64(3, 'UTC')", pl.Datetime("ms", "UTC"), "when this entry was posted"),
    Column(
        "entered_at",
        "Nullable(DateTime64(3, 'UTC'))",
        pl.Datetime("ms", "UTC"),
        "of a reversal: when the entry it takes back was posted",
    ),
    Column("version", "UInt64", pl.UInt64, "hash of the entry's content, 48 bits; the last 16 number repairs"),
    Column("sign", "Int8", pl.Int8, "+1 entry, -1 reversal"),
)

LEDGER: Final = CALL + BOOKKEEPING
CALL_COLUMNS: Final = tuple(column.name for column in CALL)
LEDGER_COLUMNS: Final = tuple(column.name for column in LEDGER)
LEDGER_SCHEMA: Final = schema({column.name: column.polars for column in LEDGER})

#: What a dialect may fill, by group.
SAID: Final[tuple[Column, ...]] = tuple(column for column in CALL if column.group is not None)
SAID_GROUPS: Final[dict[Group, tuple[str, ...]]] = {
    group: tuple(column.name for column in SAID if column.group is group) for group in Group
}


class Role(StrEnum):
    """What an observation is to the ledger."""

    CALL = "call"  # a provider call (or a gateway cache hit): billable
    SUPPORT = "support"  # adds what it knows to a call it belongs to; alone it is no call
    REFUSAL = "refusal"  # a request the gateway refused before any provider was called


#: Observation columns beside the said ones.
ENVELOPE: Final[dict[str, Dtype]] = {
    "observation_id": pl.String,  # "<trace>/<span>" or "log/..." : stable over re-sends
    "tenant": pl.String,
    "source": pl.String,  # dialect, and the instrumentor where the dialect has several
    "role": pl.String,
    "trace_id": pl.String,
    "span_id": pl.String,
    "parent_span_id": pl.String,
    "request_span": pl.String,  # what all attempts share: a span, or a request's name (with a slash); ''
    "keys": TEXTS,  # identity keys, best first (filled by `identify`); every key names exactly one call
    "total_tokens": pl.UInt64,  # only to check the others
    "call_id": pl.String,  # the gateway's own call id
    "issues": TEXTS,
    **{f"rank_{group}": pl.UInt8 for group in Group},
}
OBSERVATION_SCHEMA: Final = schema({**ENVELOPE, **{column.name: column.polars for column in SAID}})
