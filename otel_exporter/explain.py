"""`explain`: a call, who said what of it, why that is one call, what it costs and why, and every number it ever had.

Asks read-only, so it works beside a running `serve`. The ledger says what stands; `genai_reversals` what stood before,
since merges delete an entry together with its reversal.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl

from otel_exporter.asking import Ask, table
from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Table
from processors.contract import CALL_COLUMNS, ENVELOPE, LEDGER_SCHEMA, MAP, MONEY
from processors.identify import unwrapped
from processors.price import PriceBook
from processors.prices.explain import PriceLine
from processors.said import unpack

Row = dict[str, Any]

#: A trace may hold very many calls; this many are listed.
_LISTED: Final = 1_000
_STOOD: Final = ", ".join(name for name in LEDGER_SCHEMA.names() if name not in ("handles", "said", "sign"))
_BY_KEY: Final = f"SELECT {', '.join(LEDGER_SCHEMA.names())} FROM genai_ledger WHERE call_key = {{key:String}}"
_STANDING: Final = f"""
SELECT tenant, call_key, any(started_at) AS started, any(team) AS team, any(provider) AS provider, any(model) AS model,
    any(status) AS status, any(input_tokens) AS input_tokens, any(output_tokens) AS output_tokens,
    any(cost_usd) AS cost_usd
FROM genai_ledger WHERE {{where}}
GROUP BY tenant, call_key, version HAVING sum(sign) > 0 ORDER BY started, call_key LIMIT {_LISTED}
"""
_BY_HANDLE: Final = _STANDING.format(where="hasAny(handles, JSONExtract({names:String}, 'Array(String)'))")
_BY_RESPONSE: Final = _STANDING.format(where="response_id = {name:String}")
#: Calls that now hold what a call held that is no more.
_HEIRS: Final = _STANDING.format(
    where="""hasAny(observation_ids, (
        SELECT groupUniqArrayArray(observation_ids) FROM genai_reversals WHERE call_key = {name:String}))"""
)
#: Postings of a call, and of calls that have become part of it since; a call's times differ little between them.
_POSTED: Final = """
WHERE tenant = {tenant:String}
    AND toStartOfHour(started_at) >= parseDateTime64BestEffort({started:String}, 9, 'UTC') - toIntervalDay(1)
    AND toStartOfHour(started_at) <= parseDateTime64BestEffort({started:String}, 9, 'UTC') + toIntervalDay(1)
    AND hasAny(observation_ids, JSONExtract({observed:String}, 'Array(String)'))
"""
_ENTRIES: Final = f"SELECT {_STOOD}, sign FROM genai_ledger {_POSTED}"
_REVERSALS: Final = f"SELECT {_STOOD}, -1 AS sign FROM genai_reversals {_POSTED}"
_POSTING: Final = ("posted_at", "sign", "call_key", "version", "cost_usd", "price_version")


@dataclass(frozen=True)
class Witness:
    """One observation: ``said`` is all it said that was not empty."""

    observation_id: str
    source: str
    keys: tuple[str, ...]
    joined_by: str
    said: Mapping[str, Any]


@dataclass(frozen=True)
class Posting:
    """One line of the ledger.

    ``posted_at`` is None for an entry that merges have deleted together with its reversal, and that was the first.
    ``changed`` is column -> (before, after), against the entry that stood before.
    """

    posted_at: datetime | None
    sign: int
    call_key: str
    version: int
    cost_usd: Decimal | None
    price_version: str
    changed: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Explanation:
    """Everything there is to say of one call."""

    call: Mapping[str, Any]
    witnesses: tuple[Witness, ...]
    price: PriceLine
    postings: tuple[Posting, ...]


def named(ask: Ask, name: str) -> Table:
    """The standing calls that go by ``name``: a call_key (former ones too), trace id, response id, any other handle.

    Raises:
        Refused: nobody knows it.
    """
    handles = json.dumps(_handles(name))
    for sql, parameters in (
        (_STANDING.format(where="call_key = {name:String}"), {"name": name}),
        (_BY_HANDLE, {"names": handles}),
        (_BY_RESPONSE, {"name": name}),
        (_HEIRS, {"name": name}),
    ):
        found = table(ask, sql, parameters)
        if found.rows:
            return found
    raise Refused(Reason.MALFORMED, f"no call is known by {name!r}: give a call_key, a trace id or a response id")


def _handles(name: str) -> list[str]:
    inside = str(pl.select(unwrapped(pl.lit(name))).item())
    return [name, f"trace:{name.lower()}", f"id:{name}", f"id:{inside}", f"cache:{name}", f"span:{name}"]


def explain(ask: Ask, tenant: str, call_key: str, prices: PriceBook) -> Explanation:
    """The explanation of a call that stands.

    Raises:
        Refused: it does not (any more).
    """
    call = _standing([row for row in _rows(ask, _BY_KEY, key=call_key) if row["tenant"] == tenant])
    if call is None:
        raise Refused(Reason.MALFORMED, f"no call stands under {call_key!r}")
    about = {
        "tenant": tenant,
        "started": call["started_at"].isoformat(),
        "observed": json.dumps(call["observation_ids"]),
    }
    return Explanation(
        call={name: call[name] for name in CALL_COLUMNS},
        witnesses=tuple(_witnesses(call)),
        price=prices.rate_line(call),
        postings=tuple(_postings(_rows(ask, _ENTRIES, **about), _rows(ask, _REVERSALS, **about))),
    )


def _rows(ask: Ask, sql: str, **parameters: str) -> list[Row]:
    """Rows of the ledger with values of our types: the answer has decimals and times as text."""
    answer = table(ask, sql, parameters)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return [{name: _typed(name, value) for name, value in row.items()} for row in rows]


def _typed(name: str, value: Any) -> Any:
    if value is None:
        return None
    dtype = LEDGER_SCHEMA[name]
    if dtype == MONEY:
        return Decimal(value)
    return datetime.fromisoformat(value) if isinstance(dtype, pl.Datetime) else value


def _standing(entries: Sequence[Row]) -> Row | None:
    """The entry that stands; the newest, should a race have left several."""
    nets: dict[int, int] = {}
    for entry in entries:
        nets[entry["version"]] = nets.get(entry["version"], 0) + entry["sign"]
    alive = [entry for entry in entries if entry["sign"] > 0 and nets[entry["version"]] > 0]
    return max(alive, key=lambda entry: entry["posted_at"], default=None)


def _witnesses(call: Row) -> Iterator[Witness]:
    cells = [[{"key": key, "value": value} for key, value in said.items()] for said in call["said"]]
    heard = unpack(pl.Series("said", cells).cast(MAP)).to_dicts()
    for one in heard:
        said = {name: value for name, value in one.items() if name not in ENVELOPE and value not in (None, "", [])}
        others = [other for other in heard if other is not one]
        yield Witness(one["observation_id"], one["source"], tuple(one["keys"]), _joined_by(one, others), said)


def _joined_by(one: Row, others: Sequence[Row]) -> str:
    """Why an observation is of the same call as the others."""
    if not others:
        return "the only observation"
    shared = {key: [other["source"] for other in others if key in other["keys"]] for key in one["keys"]}
    for key, sources in shared.items():
        if sources:
            return f"{key} is also said by {', '.join(sorted(set(sources)))}"
    for other in others:
        if relation := _relation(one, other):
            return f"{relation} {other['source']}: same trace, nothing contradicts"
    return "same trace, nothing contradicts"


def _relation(one: Row, other: Row) -> str:
    """Where two observations of a trace stand to each other; '' when neither is in the other."""
    if one["trace_id"] != other["trace_id"]:
        return ""
    if one["span_id"] and one["span_id"] == other["span_id"]:
        return "in the span of"
    if one["parent_span_id"] and one["parent_span_id"] == other["span_id"]:
        return "child of"
    if other["parent_span_id"] and other["parent_span_id"] == one["span_id"]:
        return "parent of"
    if one["started_at"] <= other["started_at"] and one["ended_at"] >= other["ended_at"]:
        return "contains"
    return "within" if one["started_at"] >= other["started_at"] and one["ended_at"] <= other["ended_at"] else ""


def _postings(entries: Sequence[Row], reversals: Sequence[Row]) -> Iterator[Posting]:
    """All lines in the order they were posted, a reversal before what replaces it."""
    lines = [*entries, *_merged_away(entries, reversals)]
    lines.sort(key=lambda line: (line["posted_at"] is not None, line["posted_at"], line["sign"], line["call_key"]))
    last: Row | None = None
    latest: dict[str, Row] = {}  # by call_key
    for line in lines:
        before = latest.get(line["call_key"], last)
        changed = _changes(before, line) if line["sign"] > 0 and before is not None else {}
        latest[line["call_key"]] = last = line
        yield Posting(changed=changed, **{name: line[name] for name in _POSTING})


def _merged_away(entries: Sequence[Row], reversals: Sequence[Row]) -> Iterator[Row]:
    """The reversals that are not in the ledger any more, each with the entry that went with it.

    That entry was posted when the one before it was reversed, or else at a time nobody knows any more.
    """
    kept = Counter(_name(line) for line in entries if line["sign"] < 0)
    for line in reversals:
        if kept[_name(line)]:
            kept[_name(line)] -= 1
            continue
        earlier = (other["posted_at"] for other in reversals if other["posted_at"] < line["posted_at"])
        yield line | {"sign": 1, "posted_at": max(earlier, default=None)}
        yield line


def _name(line: Row) -> tuple[str, int, datetime]:
    return line["call_key"], line["version"], line["posted_at"]


def _changes(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {name: (before[name], after[name]) for name in CALL_COLUMNS if before[name] != after[name]}
