"""Prefixes that prompts really share: read from the content that is kept, compared message by message.

A prompt is its tool definitions, system instructions and messages in that order, cut behind each message that is kept
in `genai_content`. The part up to a cut has a fingerprint; two prompts that agree in it begin with the same bytes. How
many tokens such a part is nobody says: it has as large a share of the prompt's tokens as of its bytes. Where the
content policy is `hash`, a prompt is one piece, which only an equal prompt repeats.

Everything here is linear in the number of messages (and sorts the calls).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.asking import PARQUET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_exporter.asking import AskIn

#: Providers cache prompts from so many tokens on (OpenAI and most of Anthropic's models).
SHORTEST_PREFIX: Final = 1024
#: Minutes a cached prefix lives after it was used last.
CACHED_MINUTES: Final = 5
#: One row a cut of a prompt: ``mark`` is the fingerprint up to there, ``bytes`` how long that is, ``whole`` the prompt.
PROMPTS: Final = pl.Schema(
    {"tenant": pl.String, "call_key": pl.String, "mark": pl.UInt64, "bytes": pl.UInt64, "whole": pl.UInt64}
)
#: What a cache is asked by: the same beginning of another application or model is not found.
_CACHE: Final = ("tenant", "provider", "model", "application")


def _prompt(attributes: str) -> str:
    """The prompt in a map of attributes, '' where none is kept. References stand for messages, in braces."""
    plain = f"k -> if(startsWith({attributes}[k], 'once:'), substring({attributes}[k], 6), {attributes}[k])"
    numbered = r"^(gen_ai\\.prompt|llm\\.input_messages)\\.[0-9]+\\."
    order = r"k -> (toUInt32OrZero(extract(k, '\\.([0-9]+)\\.')), k)"
    return f"""multiIf(
        {attributes}['gen_ai.input.messages'] != '', arrayStringConcat(arrayMap({plain},
            ['gen_ai.tool.definitions', 'gen_ai.system_instructions', 'gen_ai.input.messages'])),
        {attributes}['input.value'] != '', arrayStringConcat(arrayMap({plain}, ['input.value'])),
        arrayStringConcat(arrayMap({plain}, arraySort({order},
            arrayFilter(k -> match(k, '{numbered}'), mapKeys({attributes}))))))"""


_REFERENCE: Final = r"\\{[0-9a-f]{32}\\}"
_NEAR: Final = """ >= parseDateTime64BestEffort({since:String}, 9, 'UTC') - INTERVAL 1 HOUR
    AND Timestamp < parseDateTime64BestEffort({until:String}, 9, 'UTC') + INTERVAL 1 HOUR"""
_KEPT: Final = f"""
SELECT TraceId AS trace_id, SpanId AS span_id, '' AS answer, {_prompt("SpanAttributes")} AS prompt
FROM otel_traces WHERE Timestamp{_NEAR} AND prompt != ''
UNION ALL
SELECT '' AS trace_id, '' AS span_id, LogAttributes['gen_ai.response.id'] AS answer,
    {_prompt("LogAttributes")} AS prompt
FROM otel_logs WHERE Timestamp{_NEAR} AND answer != '' AND prompt != ''
"""
_PIECES: Final = f"""
SELECT trace_id, span_id, answer, length(prompt) AS size,
    if(match(prompt, 'hmac-sha256:[0-9a-f]{{16}}'), [prompt],
        extractAll(prompt, '[\\s\\S]*?{_REFERENCE}')) AS pieces,
    arrayMap(p -> endsWith(p, '}}') ? cityHash64(substring(p, length(p) - 32, 32)) : 0, pieces) AS refs,
    arrayMap(p -> toUInt64(length(p) - (endsWith(p, '}}') ? 34 : 0)), pieces) AS own,
    arrayCumSum(arrayMap((p, n) -> cityHash64(p, n), pieces, arrayEnumerate(pieces))) AS marks,
    toUInt64(size - arraySum(arrayMap(p -> length(p), pieces))) AS rest
FROM ({_KEPT})
"""
_CALLS: Final = """
SELECT c.tenant AS tenant, c.call_key AS call_key, c.trace_id AS trace_id, c.span_id AS span_id,
    c.response_id AS answer
FROM genai_calls AS c WHERE c.started_at >= parseDateTime64BestEffort({since:String}, 9, 'UTC')
    AND c.started_at < parseDateTime64BestEffort({until:String}, 9, 'UTC')
    AND ({tenant:String} = '' OR c.tenant = {tenant:String})
"""
_SAID: Final = f"""
SELECT c.tenant AS tenant, c.call_key AS call_key, p.refs AS refs, p.own AS own, p.marks AS marks, p.rest AS rest
FROM ({_CALLS} AND c.trace_id != '') AS c
INNER JOIN (SELECT * FROM ({_PIECES}) WHERE span_id != '') AS p ON c.trace_id = p.trace_id AND c.span_id = p.span_id
UNION ALL
SELECT c.tenant AS tenant, c.call_key AS call_key, p.refs AS refs, p.own AS own, p.marks AS marks, p.rest AS rest
FROM ({_CALLS} AND c.response_id != '') AS c
INNER JOIN (SELECT * FROM ({_PIECES}) WHERE answer != '') AS p ON c.answer = p.answer
"""
_LENGTHS: Final = f"""
SELECT cityHash64(hash) AS refs, toUInt64(any(length(text))) AS size FROM genai_content
WHERE hash IN (SELECT arrayJoin(extractAll(prompt, '\\{{([0-9a-f]{{32}})\\}}')) FROM ({_KEPT}))
GROUP BY refs
"""


def read(ask: AskIn, bounds: Mapping[str, str]) -> pl.DataFrame:
    """What is kept of the prompts of the calls within ``bounds`` (`since`, `until`, `tenant`), as `PROMPTS`.

    A prompt of which a message was dropped by retention is left out: nobody knows how long it was.
    """
    said = _asked(ask, _SAID, bounds)
    if said.is_empty():
        return pl.DataFrame(schema=PROMPTS)
    return cuts(said, _asked(ask, _LENGTHS, bounds))


def _asked(ask: AskIn, sql: str, bounds: Mapping[str, str]) -> pl.DataFrame:
    found = pl.read_parquet(BytesIO(ask(sql, bounds, PARQUET)))
    return found.with_columns(pl.col(pl.Binary).cast(pl.String))


def cuts(said: pl.DataFrame, lengths: pl.DataFrame) -> pl.DataFrame:
    """The cuts of prompts: their pieces as they are written, with the lengths of the messages they refer to."""
    call = ["tenant", "call_key"]
    once = said.unique(call, keep="first", maintain_order=True)
    pieces = once.explode("refs", "own", "marks", empty_as_null=True).filter(pl.col("marks").is_not_null())
    sized = pieces.join(lengths, on="refs", how="left", maintain_order="left").with_columns(
        size=pl.col("own") + pl.when(pl.col("refs") == 0).then(0).otherwise("size")
    )
    known = sized.filter(pl.col("size").is_not_null().all().over(call))
    return known.select(
        *call,
        mark="marks",
        bytes=pl.col("size").cum_sum().over(call),
        whole=pl.col("size").sum().over(call) + pl.col("rest"),
    ).cast(PROMPTS)


def shared(calls: pl.DataFrame, prompts: pl.DataFrame) -> pl.DataFrame:
    """tenant, call_key, ``@cached``, ``@wanted``, of each call whose prompt is known.

    ``@cached``: tokens of the longest beginning that a call had which ended at most five minutes before it began;
    ``@wanted``: of the longest that a call has which begins at most five minutes after it ended.
    """
    who = calls.select(*_CACHE, "call_key", "started_at", "ended_at", "input_tokens")
    tokens = pl.col("input_tokens").cast(pl.UInt64) * pl.col("bytes") // pl.col("whole")
    uses = prompts.join(who, on=["tenant", "call_key"]).with_columns(tokens=tokens.cast(pl.Int64))
    long = uses.filter(pl.col("tokens") >= SHORTEST_PREFIX)
    by, near = [*_CACHE, "mark"], f"{CACHED_MINUTES}m"
    ends = long.select(*by, met="ended_at").sort("met")
    starts = long.select(*by, met="started_at").sort("met")
    before = long.sort("started_at").join_asof(
        ends, left_on="started_at", right_on="met", by=by, strategy="backward", tolerance=near,
        allow_exact_matches=False, check_sortedness=False, coalesce=False,
    )  # fmt: skip
    after = long.sort("ended_at").join_asof(
        starts, left_on="ended_at", right_on="met", by=by, strategy="forward", tolerance=near,
        allow_exact_matches=False, check_sortedness=False, coalesce=False,
    )  # fmt: skip
    seen = uses.select("tenant", "call_key").unique(maintain_order=True)
    for found, name in ((before, "@cached"), (after, "@wanted")):
        most = found.filter(pl.col("met").is_not_null()).group_by("tenant", "call_key").agg(pl.col("tokens").max())
        seen = seen.join(most.rename({"tokens": name}), on=["tenant", "call_key"], how="left", maintain_order="left")
    return seen.with_columns(pl.col("@cached", "@wanted").fill_null(0))
