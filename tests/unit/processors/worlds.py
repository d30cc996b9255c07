"""Small worlds: physical LLM calls, and everything that may be observed of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
from hypothesis import strategies as st

from processors.contract import OBSERVATION_SCHEMA, Group
from processors.identify import with_keys

EPOCH = datetime(2026, 11, 1, 12, tzinfo=UTC)
TOKENS = ((25, 12), (80, 18), (2048, 12))


@dataclass(frozen=True)
class Call:
    """A physical call: when, which tokens, and who reports it."""

    number: int
    trace: int
    second: int
    tokens: tuple[int, int]
    failed: bool
    cache_hit_of: int | None
    seen_by: frozenset[str]


#: `framework` is of one source with the wrapper below it; `event` is a log record written in the client's span.
SEERS = ("gateway", "client", "wrapper", "twin", "raw", "framework", "event")


@st.composite
def worlds(draw: st.DrawFn, max_calls: int = 5) -> list[Call]:
    """Calls, one after another within a trace, each seen by a random set of reporters (at least one billable)."""
    calls: list[Call] = []
    for number in range(draw(st.integers(1, max_calls))):
        ok = [call for call in calls if not call.failed and call.cache_hit_of is None]
        hit_of = draw(st.sampled_from(ok)).number if ok and draw(st.integers(0, 5)) == 0 else None
        failed = hit_of is None and draw(st.integers(0, 4)) == 0
        tokens = calls[hit_of].tokens if hit_of is not None else draw(st.sampled_from(TOKENS))
        seen = draw(st.frozensets(st.sampled_from(SEERS)))
        if hit_of is not None or not seen & {"gateway", "client"}:
            seen |= {"gateway"}
        if failed or hit_of is not None:
            seen -= {"raw"}
        if failed or "client" not in seen:
            seen -= {"event"}
        calls.append(Call(number, draw(st.integers(0, 1)), number * 10, tokens, failed, hit_of, seen))
    return calls


def observations_of(calls: list[Call]) -> list[dict[str, object]]:
    """Every observation of these calls, as rows of the observation schema."""
    return [_observation(call, seer) for call in calls for seer in SEERS if seer in call.seen_by]


def _observation(call: Call, seer: str) -> dict[str, object]:
    provider_call = call.cache_hit_of if call.cache_hit_of is not None else call.number
    margin = {"client": 0.5, "wrapper": 0.0, "framework": -0.5, "event": 0.4}.get(seer, 1.0)
    end = EPOCH + timedelta(seconds=call.second + 8 - margin)
    start = end if seer == "event" else EPOCH + timedelta(seconds=call.second + margin)
    gateway = seer in ("gateway", "twin", "raw")
    response_id = f"chatcmpl-8dc09c9ec45a4eecb94a5{provider_call:03d}"
    spans = {name: f"{call.number:04x}{place:012x}" for place, name in enumerate(SEERS)}
    span = spans["client" if seer == "event" else seer]
    parent = {"raw": "gateway", "gateway": "client", "client": "wrapper", "wrapper": "framework"}.get(seer)
    rank = {"gateway": 10, "twin": 10, "event": 40, "raw": 60}.get(seer, 30)
    row: dict[str, object] = dict.fromkeys(OBSERVATION_SCHEMA.names())
    row |= {
        "observation_id": f"{'log/' if seer == 'event' else ''}{call.trace:032x}/{span}",
        "tenant": "t",
        "source": {"gateway": "litellm.v1", "twin": "litellm.v1", "framework": "wrapper"}.get(seer, seer),
        "role": "call",
        "trace_id": f"{call.trace:032x}",
        "span_id": span,
        "parent_span_id": spans[parent] if parent else "",
        "request_span": "",
        "call_id": f"{call.number:08d}-aaaa-bbbb-cccc-0123456789ab" if gateway else "",
        "issues": [],
        "started_at": start,
        "ended_at": end,
        "duration_ms": (end - start).total_seconds() * 1000,
        "status": "error" if call.failed else "ok",
        "model": "gpt-4o-mini",
        "input_tokens": None if call.failed else call.tokens[0],
        "output_tokens": None if call.failed else call.tokens[1],
        "cache_hit": True if call.cache_hit_of is not None and gateway else None,
        "team": "search" if gateway else None,
        "application": "shop" if not gateway else "litellm-proxy",
        "gateway": "litellm" if gateway else None,
        "cost_reported_usd": Decimal("0.01") if gateway and not call.failed else None,
        **{f"rank_{group}": rank for group in Group},
        "rank_caller": 90 if gateway else 30,
    }
    if seer in ("gateway", "twin"):
        row["response_id"] = row["call_id"] if call.failed else response_id
    elif seer in ("client", "raw", "event") and not call.failed:
        row["response_id"] = response_id
    return row


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows as observations with keys."""
    return with_keys(pl.DataFrame(rows, schema=OBSERVATION_SCHEMA, orient="row"))
