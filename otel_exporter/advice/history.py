"""The calls of a period, a stretch of hours at a time, and what they would have cost had they been others.

Memory is bounded by a stretch (`MOST_CALLS`, or the busiest hour), not by the period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.advice import prefixes
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
_PERIOD: Final = """c.started_at >= parseDateTime64BestEffort({since:String}, 9, 'UTC')
    AND c.started_at < parseDateTime64BestEffort({until:String}, 9, 'UTC')
    AND ({tenant:String} = '' OR c.tenant = {tenant:String})"""
_CALLS: Final = f"SELECT {_SELECTED} FROM genai_calls AS c WHERE {_PERIOD} ORDER BY c.started_at, c.call_key"
_HOURS: Final = f"""SELECT toUnixTimestamp(toStartOfHour(c.started_at)) AS hour, count() AS calls
FROM genai_calls AS c WHERE {_PERIOD} GROUP BY hour ORDER BY hour"""
_NAMES: Final = f"""
SELECT c.provider AS provider, c.model AS model, c.requested_model AS requested_model, count() AS calls
FROM genai_calls AS c WHERE {_PERIOD} GROUP BY provider, model, requested_model
ORDER BY calls DESC, provider, model, requested_model"""
#: Calls of one stretch, if an hour has no more.
MOST_CALLS: Final = 50_000
#: How much earlier and later than a stretch a call may have begun that has to do with one in it.
AROUND: Final = timedelta(minutes=15)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Chunk:
    """The calls that started in a stretch of time.

    Attributes:
        calls: columns `COLUMNS`, in the order they started.
        until: no call of it started at or after this.
        around: the same with those of `AROUND` before and after, read when it is asked for.
        prompts: what of these calls' prompts is kept (`otel_exporter.advice.prefixes.PROMPTS`), likewise.
    """

    calls: pl.DataFrame
    until: datetime
    around: Callable[[], pl.DataFrame]
    prompts: Callable[[], pl.DataFrame]


class History:
    """The calls that started from ``since`` until before ``until``; ``tenant`` '' is every one.

    It can be gone through as often as wanted: each time the calls are read again.
    """

    def __init__(self, ask: AskIn, since: datetime, until: datetime, tenant: str = "", most: int = MOST_CALLS) -> None:
        self._ask, self._since, self._until, self._tenant, self._most = ask, since, until, tenant, most

    def __iter__(self) -> Iterator[Chunk]:
        """The stretches, oldest first."""
        for since, until in self._stretches():
            yield Chunk(
                read(self._ask, since, until, self._tenant),
                until,
                lambda since=since, until=until: read(self._ask, since - AROUND, until + AROUND, self._tenant),  # type: ignore[misc]
                lambda since=since, until=until: prefixes.read(  # type: ignore[misc]
                    self._ask, _bounds(since - AROUND, until + AROUND, self._tenant)
                ),
            )

    def names(self) -> pl.DataFrame:
        """provider, model, requested_model, calls: what was called, the most often called first."""
        found = _asked(self._ask, _NAMES, _bounds(self._since, self._until, self._tenant))
        return found.with_columns(pl.col(pl.Binary).cast(pl.String))

    def _stretches(self) -> Iterator[tuple[datetime, datetime]]:
        hours = _asked(self._ask, _HOURS, _bounds(self._since, self._until, self._tenant))
        first, last, held = None, None, 0
        for second, calls in hours.select(pl.col("hour").cast(pl.Int64), pl.col("calls").cast(pl.Int64)).iter_rows():
            hour = datetime.fromtimestamp(second, UTC)
            if first is not None and last is not None and held + calls > self._most:
                yield first, min(last, self._until)
                first, held = None, 0
            first = first or max(hour, self._since)
            last, held = hour + _HOUR, held + calls
        if first is not None and last is not None:
            yield first, min(last, self._until)


def chunk(calls: pl.DataFrame, prompts: pl.DataFrame | None = None) -> Chunk:
    """A history that is one frame already."""
    nothing = pl.DataFrame(schema=prefixes.PROMPTS)
    return Chunk(
        calls, datetime.max.replace(tzinfo=UTC), lambda: calls, lambda: nothing if prompts is None else prompts
    )


def read(ask: AskIn, since: datetime, until: datetime, tenant: str = "") -> pl.DataFrame:
    """The calls that started from ``since`` until before ``until``, in that order, all at once."""
    found = _asked(ask, _CALLS, _bounds(since, until, tenant))
    return found.select(_cast(name, found.schema[name]) for name in COLUMNS)


def _asked(ask: AskIn, sql: str, bounds: dict[str, str]) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(ask(sql, bounds, PARQUET)))


def _bounds(since: datetime, until: datetime, tenant: str) -> dict[str, str]:
    return {"since": since.astimezone(UTC).isoformat(), "until": until.astimezone(UTC).isoformat(), "tenant": tenant}


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
