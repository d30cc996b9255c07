"""`reprice`: the calls of a time range at today's prices, and what that changes by team and model.

The ledger is read in slices of bounded size (tenant, hours, and a share of the calls where an hour holds too many).
A slice may cut between calls of one trace: `processors.reprice` changes money only, call by call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter import upkeep
from otel_exporter.asking import opened
from otel_exporter.assembly import price_book
from otel_exporter.render import Table
from processors.contract import LEDGER_COLUMNS, LEDGER_SCHEMA, MONEY
from processors.post import Price, collapse
from processors.reprice import reprice

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.config import Settings

#: Entries read at once: some 100 MB with everything their observations said.
SLICE: Final = 20_000
_HOUR: Final = timedelta(hours=1)
_GROUP: Final = ("tenant", "team", "provider", "model")
_COUNTED: Final = ("calls", "changed", "unpriced_before", "unpriced_after")
_SUMMED: Final = ("before_usd", "after_usd", "difference_usd")
_HOURS: Final = """
SELECT tenant, toStartOfHour(started_at) AS hour, count() AS entries FROM otel.genai_ledger
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
GROUP BY tenant, hour ORDER BY tenant, hour
"""
_SLICE: Final = f"""
SELECT {", ".join(LEDGER_COLUMNS)} FROM otel.genai_ledger
WHERE tenant = {{tenant:String}}
    AND toStartOfHour(started_at) >= toStartOfHour({{since:DateTime64(9, 'UTC')}})
    AND toStartOfHour(started_at) <= toStartOfHour({{until:DateTime64(9, 'UTC')}})
    AND started_at >= {{since:DateTime64(9, 'UTC')}} AND started_at < {{until:DateTime64(9, 'UTC')}}
    AND cityHash64(call_key) % {{parts:UInt32}} = {{part:UInt32}}
"""


@dataclass(frozen=True)
class Range:
    """Calls that started at or after ``since`` and before ``until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Slice:
    """One portion of the ledger: a tenant, a time, and one of ``parts`` equal shares of the calls in it."""

    tenant: str
    time: Range
    part: int
    parts: int
    entries: int  # about


def dry_run(settings: Settings, time: Range, progress: Callable[[int, int], None]) -> Table:
    """What `apply` would change; reads only.

    Args:
        settings: where the data are, and the prices.
        time: which calls.
        progress: told entries read so far, and all.

    Raises:
        Refused: a `serve` owns the directory, or there are no data.
        NoPriceTable: no table to price by.
    """
    upkeep.refuse_beside_a_serve(settings)
    price = price_book(settings).price
    with opened(settings) as store:
        return _repriced(store, time, price, progress, lambda _tenant, _entries: None)


def apply(settings: Settings, time: Range, progress: Callable[[int, int], None]) -> Table:
    """Post the difference. Running it again, also after it was cut, posts only what is still missing.

    Args and Raises: as `dry_run`, and
        RetryLater: ClickHouse does not take the entries in time; they stay in the spool.
    """
    with upkeep.upkeep(settings) as parts:
        return _repriced(
            parts.store, time, parts.price, progress, lambda tenant, entries: upkeep.post(parts, tenant, entries)
        )


def _repriced(
    store: Store,
    time: Range,
    price: Price,
    progress: Callable[[int, int], None],
    post: Callable[[str, pl.DataFrame], None],
) -> Table:
    nothing = pl.DataFrame(schema=LEDGER_SCHEMA)
    decided = posted(store, time, lambda current, now: reprice(current, price, now), progress, post)
    return _table([_change(nothing, nothing), *(_change(live, entries) for live, entries in decided)])


def posted(
    store: Store,
    time: Range,
    decide: Callable[[pl.DataFrame, datetime], pl.DataFrame],
    progress: Callable[[int, int], None],
    post: Callable[[str, pl.DataFrame], None],
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Decide the calls of a time range anew, slice by slice: what stood of each, and the entries that were posted."""
    now, portions = datetime.now(UTC), slices(store, time)
    done, all_entries = 0, sum(portion.entries for portion in portions)
    for portion in portions:
        current = read(store, portion)
        entries = decide(current, now)
        post(portion.tenant, entries)
        yield collapse(current), entries
        done += portion.entries
        progress(done, all_entries)


def slices(store: Store, time: Range) -> list[Slice]:
    """The ledger of a time range in portions of about `SLICE` entries; together they hold every entry once."""
    hours = store.arrow(_HOURS, {"since": time.since, "until": time.until}).to_dicts()
    found: list[Slice] = []
    for tenant, mine in groupby(hours, key=lambda row: str(row["tenant"])):
        for since, until, entries in _gathered(list(mine)):
            within = Range(max(since, time.since), min(until, time.until))
            parts = -(-entries // SLICE)
            found += [Slice(tenant, within, part, parts, entries // parts) for part in range(parts)]
    return found


def _gathered(hours: Sequence[Mapping[str, object]]) -> Iterator[tuple[datetime, datetime, int]]:
    """Neighbouring hours together, as long as they hold at most `SLICE` entries."""
    start, end, held = None, None, 0
    for row in hours:
        hour, entries = row["hour"], row["entries"]
        assert isinstance(hour, datetime) and isinstance(entries, int)
        if start is not None and end is not None and held + entries > SLICE:
            yield start, end, held
            start, held = None, 0
        start, end, held = start or hour, hour + _HOUR, held + entries
    if start is not None and end is not None:
        yield start, end, held


def read(store: Store, portion: Slice) -> pl.DataFrame:
    """The entries of a portion, uncollapsed."""
    parameters = {
        "tenant": portion.tenant,
        "since": portion.time.since,
        "until": portion.time.until,
        "part": portion.part,
        "parts": portion.parts,
    }
    return store.arrow(_SLICE, parameters).cast(dict(LEDGER_SCHEMA))  # type: ignore[arg-type]


def _change(live: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """By team and model: what stood before, and what the entries change of it."""
    cost, new = pl.col("cost_usd"), pl.col("sign") > 0
    before = live.group_by(_GROUP).agg(
        pl.len().cast(pl.Int64).alias("calls"),
        cost.sum().alias("before_usd"),
        cost.is_null().sum().cast(pl.Int64).alias("unpriced_before"),
    )
    change = entries.group_by(_GROUP).agg(
        new.sum().cast(pl.Int64).alias("changed"),
        (cost.filter(new).sum() - cost.filter(~new).sum()).cast(MONEY).alias("difference_usd"),
        (cost.filter(new).is_null().sum().cast(pl.Int64) - cost.filter(~new).is_null().sum()).alias("more_unpriced"),
    )
    return before.join(change, on=_GROUP, how="left").with_columns(
        pl.col("changed", "more_unpriced", "difference_usd").fill_null(0)
    )


def _table(changes: Sequence[pl.DataFrame]) -> Table:
    """The sums of all slices, the greatest change first."""
    rows = pl.concat(changes).group_by(_GROUP).agg(pl.exclude(_GROUP).sum())
    rows = rows.with_columns(
        after_usd=pl.col("before_usd") + pl.col("difference_usd"),
        unpriced_after=pl.col("unpriced_before") + pl.col("more_unpriced"),
    )
    ordered = rows.sort(pl.col("difference_usd").abs(), *_GROUP, descending=[True, *[False] * len(_GROUP)])
    columns = (*_GROUP, *_COUNTED, *_SUMMED)
    return Table(columns, [list(row) for row in ordered.select(columns).iter_rows()], title="Calls at today's prices")
