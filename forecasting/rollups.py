"""Series from the hourly and daily rollups, over any axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.arrays import Floats
from forecasting.frequency import DAY, HOUR, Frequency
from forecasting.labels import condition, parameters
from forecasting.series import Key, Series, missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clickhouse_schema.store import Store

TOTAL: Final = "total"
#: What can be forecast apart: `total` is one series per tenant, the others one per value of that column.
AXES: Final = (
    TOTAL,
    "tenant",
    "organization",
    "team",
    "project",
    "cost_center",
    "owner",
    "user_id",
    "api_key_alias",
    "application",
    "agent",
    "provider",
    "model",
    "requested_model",
    "environment",
    "deployment_id",
)
METRICS: Final = (
    "cost_usd",
    "calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
#: How far back models look.
MEMORY: Final = {HOUR.name: timedelta(weeks=8), DAY.name: timedelta(days=800)}
#: Series read at once.
PAGE: Final = 200

_SPAN: Final = "bucket >= parseDateTimeBestEffort({since:String}, 'UTC') AND bucket < parseDateTimeBestEffort({until:String}, 'UTC')"  # noqa: E501


@dataclass(frozen=True)
class Question:
    """Which series are wanted, and what was known: nothing from ``as_of`` on is read.

    Attributes:
        as_of: a bucket's start, UTC.
        axis: one of `AXES`.
        metric: one of `METRICS`.
        most: series at most, those with the largest sums first.
    """

    as_of: datetime
    axis: str
    metric: str
    frequency: Frequency
    most: int = 1000

    @property
    def since(self) -> datetime:
        """Where history begins."""
        return self.as_of - MEMORY[self.frequency.name]

    @property
    def rollup(self) -> str:
        """The table."""
        return f"otel.genai_rollup_{self.frequency.name}"

    @property
    def column(self) -> str:
        """The expression that tells series of a tenant apart."""
        return "''" if self.axis == TOTAL else f"toString({self.axis})"

    @property
    def parameters(self) -> dict[str, str]:
        """The bounds of time."""
        form = "%Y-%m-%dT%H:%M:%SZ"
        return {"since": self.since.strftime(form), "until": self.as_of.strftime(form)}


def question(as_of: datetime, axis: str, metric: str, frequency: Frequency, most: int = 1000) -> Question:
    """A checked `Question`.

    Raises:
        ValueError: no such axis or metric; the message lists those there are.
    """
    for name, kind, known in ((axis, "axis", AXES), (metric, "metric", METRICS)):
        if name not in known:
            raise ValueError(f"no {kind} {name!r}: one of {', '.join(known)}")
    return Question(frequency.floor(as_of), axis, metric, frequency, most)


def keys(store: Store, asked: Question) -> list[Key]:
    """The series there are, largest first. Calls nobody is named for ("") are a series, too."""
    found = store.arrow(
        f"SELECT tenant, {asked.column} AS value FROM {asked.rollup} WHERE {_SPAN} "
        f"GROUP BY tenant, value HAVING sum(calls) > 0 "
        f"ORDER BY sum({asked.metric}) DESC, tenant, value LIMIT {int(asked.most)}",
        asked.parameters,
    )
    return [Key(tenant, asked.metric, asked.axis, value) for tenant, value in found.iter_rows()]


def series(store: Store, asked: Question, wanted: Sequence[Key]) -> Iterator[Series]:
    """The series of ``wanted``, in that order, read a page at a time."""
    busy = {tenant: _busy(store, asked, tenant) for tenant in {key.tenant for key in wanted}}
    for start in range(0, len(wanted), PAGE):
        page = wanted[start : start + PAGE]
        for tenant in dict.fromkeys(key.tenant for key in page):
            mine = [key for key in page if key.tenant == tenant]
            found = _values(store, asked, tenant, [key.value for key in mine])
            yield from (_series(key, asked, found[key.value], busy[tenant]) for key in mine if key.value in found)


def narrowed(store: Store, asked: Question, key: Key, labels: Mapping[str, str]) -> Series | None:
    """The series of what carries all ``labels`` (see `forecasting.labels`); None when there is nothing."""
    rows = store.arrow(
        f"SELECT bucket, toFloat64(sum({asked.metric})) AS amount FROM {asked.rollup} "
        f"WHERE tenant = {{tenant:String}} AND {_SPAN}{condition(labels)} "
        f"GROUP BY bucket HAVING sum(calls) > 0 OR amount != 0 ORDER BY bucket",
        {**asked.parameters, "tenant": key.tenant, **parameters(labels)},
    ).with_columns(_place(asked))
    if rows.is_empty():
        return None
    found = rows["amount"].to_numpy(), rows["place"].to_numpy()
    return _series(key, asked, found, _busy(store, asked, key.tenant))


def _values(
    store: Store, asked: Question, tenant: str, values: list[str]
) -> dict[str, tuple[Floats, NDArray[np.int64]]]:
    """For each value of the axis: amounts, and the places of their buckets counted from `Question.since`."""
    rows = store.arrow(
        f"SELECT {asked.column} AS value, bucket, toFloat64(sum({asked.metric})) AS amount FROM {asked.rollup} "
        f"WHERE tenant = {{tenant:String}} AND {_SPAN} AND value IN {{values:Array(String)}} "
        f"GROUP BY value, bucket HAVING sum(calls) > 0 OR amount != 0 ORDER BY value, bucket",
        {**asked.parameters, "tenant": tenant, "values": values},
    ).with_columns(_place(asked))
    return {
        str(name): (part["amount"].to_numpy(), part["place"].to_numpy())
        for (name,), part in rows.partition_by("value", as_dict=True).items()
    }


def _busy(store: Store, asked: Question, tenant: str) -> NDArray[np.bool_]:
    """For each bucket since `Question.since` whether the tenant did anything in it."""
    rows = store.arrow(
        f"SELECT bucket FROM {asked.rollup} WHERE tenant = {{tenant:String}} AND {_SPAN} "
        f"GROUP BY bucket HAVING sum(calls) > 0",
        {**asked.parameters, "tenant": tenant},
    ).with_columns(_place(asked))
    busy = np.zeros(_length(asked), dtype=bool)
    busy[rows["place"].to_numpy()] = True
    return busy


def _place(asked: Question) -> pl.Expr:
    seconds = int(asked.frequency.step.total_seconds())
    return ((pl.col("bucket").dt.epoch("s") - int(asked.since.timestamp())) // seconds).alias("place")


def _length(asked: Question) -> int:
    return (asked.as_of - asked.since) // asked.frequency.step


def _series(key: Key, asked: Question, found: tuple[Floats, NDArray[np.int64]], busy: NDArray[np.bool_]) -> Series:
    """From the series' first bucket to `as_of`; what the tenant was silent in although it should not is unknown."""
    amounts, places = found
    values = np.zeros(_length(asked))
    values[places] = np.maximum(amounts, 0.0)
    tenant_began = int(busy.argmax())
    values[tenant_began:][missing(busy[tenant_began:], asked.frequency)] = np.nan
    first = int(places[0])
    return Series(key, asked.frequency, asked.since + first * asked.frequency.step, values[first:])
