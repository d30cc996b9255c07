"""The two sides of a comparison as frames of one shape: a call a row, with its day, its payers and its dollars."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.asking import PARQUET, AskIn
from otel_exporter.decode import Decoder
from otel_exporter.imports.spend_records import spend_request
from processors.batch import Signal
from processors.contract import MOMENT, MONEY, schema
from processors.dialects.words import dollars
from processors.identify import Identify
from processors.normalise import Normalise

if TYPE_CHECKING:
    from otel_exporter.litellm_api.directory import Directory
    from otel_exporter.litellm_api.spend_logs import Window

#: ``key``: what one call is known by on both sides. ``ours`` also has `gateway` and `imported`.
SIDE: Final = schema(
    {
        "key": pl.String,
        "started_at": MOMENT,
        "team": pl.String,
        "api_key": pl.String,
        "model": pl.String,
        "usd": MONEY,
        "hit": pl.Boolean,
    }
)
OURS: Final = schema({"call": pl.String, **SIDE, "gateway": pl.Boolean, "imported": pl.Boolean})
#: The clocks of two machines, and the time between a client's start and the gateway's.
SLACK: Final = timedelta(hours=1)
_CALLS: Final = """
SELECT l.call_key AS call, arrayFilter(h -> startsWith(h, 'id:') OR startsWith(h, 'cache:'), any(l.handles)) AS key,
  any(l.started_at) AS started_at, any(l.team) AS team, any(l.team_id) AS team_id, any(l.api_key_alias) AS alias,
  any(l.api_key_hash) AS hash, any(l.model) AS model, anyRespectNulls(l.cost_usd) AS usd,
  anyRespectNulls(l.cache_hit) AS hit, any(l.gateway) = 'litellm' AS gateway,
  any(l.sources) = ['litellm.spend_log'] AS imported
FROM genai_ledger AS l
WHERE l.tenant = {tenant:String} AND l.started_at >= parseDateTime64BestEffort({since:String}, 9, 'UTC')
  AND l.started_at < parseDateTime64BestEffort({until:String}, 9, 'UTC')
GROUP BY l.tenant, l.call_key, l.version HAVING sum(l.sign) > 0
"""


def theirs(windows: Iterable[Window], names: Directory) -> pl.DataFrame:
    """The calls of a gateway's books, read by the dialect that would import them; refused requests are no calls."""
    decode, normalise, identify = Decoder(None).decode, Normalise(), Identify()
    parts = []
    for window in windows:
        if body := spend_request(window.rows, names):
            seen = identify(normalise(decode(Signal.LOGS, [body], ""))).observations
            parts.append(_booked(seen, names))
    told = pl.concat([pl.DataFrame(schema=SIDE), *parts])
    return told.unique(maintain_order=True)  # windows share the second between them


def side(calls: Sequence[Sequence[object]]) -> pl.DataFrame:
    """Calls as rows of `SIDE`, moments and dollars as text: somebody's books that are not LiteLLM's."""
    told = pl.DataFrame(calls, {**SIDE, "started_at": pl.String, "usd": pl.String}, orient="row")
    moment = pl.col("started_at").str.to_datetime("%+", time_unit="ns", time_zone="UTC")
    return told.with_columns(moment, dollars(pl.col("usd"))).cast(SIDE)


def _booked(observations: pl.DataFrame, names: Directory) -> pl.DataFrame:
    return observations.select(
        pl.col("keys").list.first().alias("key"),
        "started_at",
        _called(names, "team", "team_id", "team"),
        _called(names, "key", "api_key_hash", "api_key_alias").alias("api_key"),
        pl.col("model").fill_null(""),
        pl.col("cost_reported_usd").fill_null(0).alias("usd"),
        pl.col("cache_hit").fill_null(False).alias("hit"),
    ).cast(SIDE)


def ours(ask: AskIn, tenant: str, since: datetime, until: datetime, names: Directory) -> pl.DataFrame:
    """Our calls that started from ``since`` until before ``until``, one row for each key a call is known by."""
    bounds = {"tenant": tenant, "since": since.isoformat(), "until": until.isoformat()}
    found = pl.read_parquet(io.BytesIO(ask(_CALLS, bounds, PARQUET)))
    said = found.with_columns(pl.col(pl.Binary).cast(pl.String))
    return (
        said.select(
            "call",
            "key",
            "started_at",
            _called(names, "team", "team_id", "team"),
            _called(names, "key", "hash", "alias").alias("api_key"),
            "model",
            pl.col("usd").fill_null(0),
            pl.col("hit").cast(pl.Boolean).fill_null(False),
            pl.col("gateway").cast(pl.Boolean),
            pl.col("imported").cast(pl.Boolean),
        )
        .explode("key", empty_as_null=True)
        .cast(OURS)
    )


def _called(names: Directory, kind: str, identifier: str, said: str) -> pl.Expr:
    """Today's name behind an id, else the name that was said, else the id: the same on both sides."""
    known = {entry.id: entry.name for entry in names.entries if entry.kind == kind and entry.name}
    today = pl.col(identifier).replace_strict(known, default=None, return_dtype=pl.String)
    return pl.coalesce(today, pl.col(said).replace("", None), identifier).fill_null("").alias(kind)
