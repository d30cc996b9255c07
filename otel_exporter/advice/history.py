"""The calls of a period as a frame, and what they would have cost had they been others."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.asking import PARQUET, AskIn
from processors.contract import CALL, MOMENT
from processors.price import READS

if TYPE_CHECKING:
    from processors.post import Price

_WHO: Final = (
    "tenant", "call_key", "request_key", "attempt", "is_final", "fallback_from", "team", "project", "cost_center",
    "user_id", "api_key_alias", "application", "environment", "session_id", "streaming", "cost_usd",
)  # fmt: skip
COLUMNS: Final = tuple(dict.fromkeys((*_WHO, *READS)))
_TYPES: Final = {column.name: column.polars for column in CALL}
_SELECTED: Final = ", ".join(
    f"toUnixTimestamp64Nano(c.{name}) AS {name}"
    if _TYPES[name] == MOMENT
    else f"toString(c.{name}) AS {name}"
    if name == "status"
    else f"c.{name} AS {name}"
    for name in COLUMNS
)
_CALLS: Final = f"""SELECT {_SELECTED} FROM genai_calls AS c
WHERE c.started_at >= parseDateTime64BestEffort({{since:String}}, 9, 'UTC')
    AND c.started_at < parseDateTime64BestEffort({{until:String}}, 9, 'UTC')
    AND ({{tenant:String}} = '' OR c.tenant = {{tenant:String}})
ORDER BY c.started_at, c.call_key"""


def read(ask: AskIn, since: datetime, until: datetime, tenant: str = "") -> pl.DataFrame:
    """The calls that started from ``since`` until before ``until``, in that order; ``tenant`` '' is every one."""
    bounds = {"since": since.astimezone(UTC).isoformat(), "until": until.astimezone(UTC).isoformat(), "tenant": tenant}
    found = pl.read_parquet(BytesIO(ask(_CALLS, bounds, PARQUET)))
    return found.select(_cast(name, found.schema[name]) for name in COLUMNS)


def _cast(name: str, found: pl.DataType) -> pl.Expr:
    column, wanted = pl.col(name), _TYPES[name]
    if found == pl.Binary:
        column = column.cast(pl.String)
    elif found == pl.List(pl.Binary):
        column = column.list.eval(pl.element().cast(pl.String))
    if wanted == MOMENT:
        return pl.from_epoch(column, "ns").dt.replace_time_zone("UTC").alias(name)
    return column.cast(wanted)


def billed(calls: pl.DataFrame) -> pl.DataFrame:
    """Calls that a provider served: a gateway cache hit costs nothing, a failure that answered nothing neither."""
    answered = (pl.col("status") != "error") | (pl.col("output_tokens").fill_null(0) > 0)
    return calls.filter(~pl.col("cache_hit").fill_null(False) & answered)


def priced(calls: pl.DataFrame, price: Price) -> pl.Series:
    """What each of these calls costs by the price book, whatever was reported: null where it does not know.

    Call by call and rounded as the ledger rounds, so that sums are to the cent what would have been posted.
    """
    nobody = pl.lit(None, _TYPES["cost_reported_usd"]).alias("cost_reported_usd")
    return price(calls.with_columns(nobody, pl.lit("").alias("cost_source")))["cost_local_usd"]


def as_model(calls: pl.DataFrame, provider: str, model: str) -> pl.DataFrame:
    """The same calls, sent to another model."""
    said = {
        "provider": provider,
        "model": model,
        "response_model": "",
        "requested_model": model,
        "api_base": "",
        "service_tier": "",
    }
    return calls.with_columns(pl.lit(value).alias(name) for name, value in said.items())
