"""The books against what ClickHouse says: lost, charged twice, the sum, the rollups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.crash.engine import Engine
    from tests.crash.ledger.calls import Call, Part
    from tests.crash.ledger.clients import Books

_CALLS = """SELECT response_id, trace_id, call_key, toString(cost_usd) AS cost, observations FROM genai_calls"""
_SIGNS = """SELECT call_key, version, sum(sign) AS net FROM genai_ledger GROUP BY call_key, version
HAVING net NOT IN (0, 1)"""
_LEDGER = "SELECT sum(sign) AS calls, toString(sum(cost_usd * sign)) AS cost, sum(input_tokens * sign) AS tokens"
_ROLLUPS = ("genai_rollup_minute", "genai_rollup_hour", "genai_rollup_day")


@dataclass
class Verdict:
    """What was found. `wrong` is empty when the ledger is exact."""

    counts: dict[str, int | Decimal] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"{name:45} {value:>20,}" for name, value in self.counts.items())


def verdict(books: Books, engine: Engine) -> Verdict:
    """Compare. Nobody may write meanwhile."""
    rows = _rows(engine, _CALLS)
    by_trace: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_trace.setdefault(row["trace_id"], []).append(row)
    spans = {row["SpanName"]: int(row["n"]) for row in _rows(engine, "SELECT SpanName, count() AS n FROM otel_traces "
                                                                     "GROUP BY SpanName")}  # fmt: skip
    found = Verdict()
    lost, twice, other, total = 0, 0, 0, Decimal(0)
    expected, uncertain = Decimal(0), 0
    for call in books.calls:
        standing = by_trace.pop(call.span(call.parts[0]).trace_id.hex(), [])
        costs = [Decimal(row["cost"] or "NaN") for row in standing]
        total += sum(costs)
        possible = set(_possible(call, books))
        # What the books alone say; only of a call whose spans were partly given up, which of the possible costs stands.
        standing_cost = costs[0] if costs and costs[0] in possible else None
        uncertain += len(possible) > 1
        expected += (standing_cost if len(possible) > 1 else next(iter(possible))) or 0
        lost += not costs and None not in possible
        twice += len(costs) > 1
        other += len(costs) == 1 and costs[0] not in possible
        if len(costs) > 1 or (costs[0] if costs else None) not in possible:
            found.wrong.append(f"call {call.number} {call.parts}: {costs} instead of {possible} {standing}")
    missing = {span for span in books.acknowledged if not spans.get(span)}
    doubled = {span for span in books.acknowledged if spans.get(span, 0) > books.often[span]}
    sums = _sums(engine)
    found.wrong += [f"nobody sent {trace}: {rows}" for trace, rows in by_trace.items()]
    found.wrong += [f"span lost: {span}" for span in sorted(missing)]
    found.wrong += [f"unbalanced: {row}" for row in _rows(engine, _SIGNS)]
    found.wrong += [f"the calls cost {total}, the books say {expected}"] if total != expected else []
    found.wrong += [f"{name} says {said}, the calls are {(len(rows), total)}" for name, said in sums.items()
                    if said[:2] != (len(rows), total)]  # fmt: skip
    found.wrong += [f"{name} says {said}, the ledger {sums['ledger']}" for name, said in sums.items()
                    if said != sums["ledger"]]  # fmt: skip
    found.counts = {
        "calls made": len(books.calls),
        "calls that stand": len(rows),
        "spans acknowledged": len(books.acknowledged),
        "spans given up by their client": len(books.abandoned - books.acknowledged),
        "acknowledged spans lost": len(missing),
        "acknowledged calls lost": lost,
        "calls charged twice": twice,
        "calls charged something else": other,
        "spans stored more often than sent": len(doubled),
        "spans stored": sum(spans.values()),
        "calls that may have several costs (given up)": uncertain,
        "sum(cost), expected": expected.normalize(),
        "sum(cost), ledger": sums["ledger"][1].normalize(),
        "ledger entries and reversals": int(_rows(engine, "SELECT count() AS n FROM genai_ledger")[0]["n"]),
    }
    return found


def _possible(call: Call, books: Books) -> Iterator[Decimal | None]:
    """What a call may cost: whichever of its spans that nobody acknowledged are stored or not."""
    sure = [part for part in call.parts if f"{part} {call.number}" in books.acknowledged]
    maybe: list[Part] = [part for part in call.parts if f"{part} {call.number}" not in books.acknowledged]
    for size in range(len(maybe) + 1):
        for stored in combinations(maybe, size):
            yield call.cost([*sure, *stored])


def _sums(engine: Engine) -> dict[str, tuple[int, Decimal, int]]:
    said = {"ledger": _rows(engine, f"{_LEDGER} FROM genai_ledger")[0]}
    for name in _ROLLUPS:
        sql = f"SELECT sum(calls) AS calls, toString(sum(cost_usd)) AS cost, sum(input_tokens) AS tokens FROM {name}"
        said[name] = _rows(engine, sql)[0]
    return {name: (int(row["calls"]), Decimal(row["cost"]), int(row["tokens"])) for name, row in said.items()}


def _rows(engine: Engine, sql: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in engine.ask(f"{sql} FORMAT JSONEachRow").splitlines()]
