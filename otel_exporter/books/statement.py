"""The rows of a statement: sums of calls by who pays and what was used.

A statement is a difference: what the ledger says of each period at the cut, less what earlier statements said of it.
So the statements always add up to the ledger as it stood at the last cut, whatever came late and whatever the clocks
said. Sums are of what is known (NULL: nothing is); `unpriced_calls` counts the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from clickhouse_schema.tables import DERIVED
from processors.contract import MONEY

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

SCHEMA: Final = DERIVED["genai_statement"]
USAGE: Final = "usage"
ADJUSTMENT: Final = "adjustment"
#: What a row is about.
GRAIN: Final = ("tenant", "organization", "cost_center", "team", "project", "provider", "model")
_COUNTS: Final = ("calls", "errors", "unpriced_calls")
_TOKENS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_MONEY: Final = (
    "cost_usd", "cost_input_usd", "cost_output_usd", "cost_cache_usd", "cost_other_usd", "discount_usd", "margin_usd",
    "saved_usd",
)  # fmt: skip
MEASURES: Final = (*_COUNTS, *_TOKENS, *_MONEY)
#: The order of rows; no two are equal in all of it.
ORDER: Final = ("kind", "of_period", *GRAIN)
_KEYS: Final = ", ".join(GRAIN)
_STANDS: Final = f"""
SELECT {_KEYS}, toInt64(count()) AS calls, toInt64(countIf(c.status = 'error')) AS errors,
    toInt64(countIf(c.cost_usd IS NULL)) AS unpriced_calls,
    {", ".join(f"toInt64(sum(c.{name})) AS {name}" for name in _TOKENS)},
    {", ".join(f"sum(c.{name}) AS {name}" for name in _MONEY)}
FROM otel.genai_calls AS c
WHERE c.started_at >= parseDateTime64BestEffort({{since:String}}, 9, 'UTC')
    AND c.started_at < parseDateTime64BestEffort({{until:String}}, 9, 'UTC')
GROUP BY {_KEYS}
"""
_STATED: Final = f"""
SELECT {_KEYS}, {", ".join(f"sum(s.{name}) AS {name}" for name in MEASURES)}
FROM otel.genai_statement AS s
WHERE s.of_period = {{of_period:String}} AND s.closing_id IN (SELECT closing_id FROM otel.genai_closing)
GROUP BY {_KEYS}
"""


def stands(store: Store, since: datetime, until: datetime) -> pl.DataFrame:
    """What the ledger says now of the calls that started from ``since`` until before ``until``."""
    found = store.arrow(_STANDS, {"since": since.isoformat(), "until": until.isoformat()})
    return _typed(found)


def stated(store: Store, of_period: str) -> pl.DataFrame:
    """What the statements so far say of a period, together."""
    return _typed(store.arrow(_STATED, {"of_period": of_period}))


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(SCHEMA[name]) for name in (*GRAIN, *MEASURES))


def difference(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """What has to be added to ``before`` to make it ``now``, row by row; rows of nothing are left out.

    A sum that neither knows stays unknown.
    """
    signed = [now, before.with_columns(-pl.col(name) for name in MEASURES)]
    rows = pl.concat(signed).group_by(GRAIN).agg(_sum(name) for name in MEASURES)
    return rows.filter(pl.any_horizontal(pl.col(name).fill_null(0) != 0 for name in MEASURES))


def _sum(name: str) -> pl.Expr:
    known = pl.col(name).count() > 0
    return pl.when(known).then(pl.col(name).sum()).cast(MONEY if name in _MONEY else pl.Int64).alias(name)


def rows_of(closing_id: str, period: str, kind: str, of_period: str, sums: pl.DataFrame) -> pl.DataFrame:
    """Sums as rows of a statement."""
    said = {"closing_id": closing_id, "period": period, "kind": kind, "of_period": of_period}
    return sums.with_columns(pl.lit(value).alias(name) for name, value in said.items()).select(
        pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()
    )


def statement(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all parts in their one order: usage first, adjustments by the period they are of."""
    rows = pl.concat([pl.DataFrame(schema=SCHEMA), *parts])
    return rows.sort(pl.col("kind") != USAGE, *ORDER)
