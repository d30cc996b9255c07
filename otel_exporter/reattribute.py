"""`reattribute`: the calls of a time range by the enrichment tables of today, and whose dollars that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter import upkeep
from otel_exporter.asking import opened
from otel_exporter.assembly import attribution
from otel_exporter.render import Table
from otel_exporter.reprice import Range, posted
from processors.contract import LEDGER_SCHEMA, MONEY
from processors.reattribute import Enrich, reattribute

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.config import Settings

_GROUP: Final = ("tenant", "team", "cost_center")
_COLUMNS: Final = (*_GROUP, "calls_before", "calls_after", "changed", "before_usd", "after_usd", "difference_usd")


def dry_run(settings: Settings, time: Range, progress: Callable[[int, int], None]) -> Table:
    """What `apply` would change; reads only.

    Args:
        settings: where the data are, and the tables.
        time: which calls.
        progress: told entries read so far, and all.

    Raises:
        Refused: a `serve` owns the directory, there are no data, or a table cannot be read.
    """
    upkeep.refuse_beside_a_serve(settings)
    enrich = attribution(settings)
    with opened(settings) as store:
        return _reattributed(store, time, enrich, progress, lambda _tenant, _entries: None)


def apply(settings: Settings, time: Range, progress: Callable[[int, int], None]) -> Table:
    """Post the difference. Running it again, also after it was cut, posts only what is still missing.

    Args and Raises: as `dry_run`, and
        RetryLater: ClickHouse does not take the entries in time; they stay in the spool.
    """
    with upkeep.upkeep(settings) as parts:
        return _reattributed(
            parts.store, time, parts.attribution, progress, lambda tenant, entries: upkeep.post(parts, tenant, entries)
        )


def _reattributed(
    store: Store,
    time: Range,
    enrich: Enrich,
    progress: Callable[[int, int], None],
    post: Callable[[str, pl.DataFrame], None],
) -> Table:
    nothing = pl.DataFrame(schema=LEDGER_SCHEMA)
    decided = posted(store, time, lambda current, now: reattribute(current, enrich, now), progress, post)
    return _table([_change(nothing, nothing), *(_change(live, entries) for live, entries in decided)])


def _change(live: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """By team and cost centre: what stood before, and what the entries take away and bring. A team may be new."""
    cost, new = pl.col("cost_usd"), pl.col("sign") > 0
    before = live.group_by(_GROUP).agg(
        pl.len().cast(pl.Int64).alias("calls_before"), cost.sum().cast(MONEY).alias("before_usd")
    )
    change = entries.group_by(_GROUP).agg(
        (new.sum().cast(pl.Int64) - (~new).sum().cast(pl.Int64)).alias("more_calls"),
        new.sum().cast(pl.Int64).alias("changed"),
        (cost.filter(new).sum() - cost.filter(~new).sum()).cast(MONEY).alias("difference_usd"),
    )
    return before.join(change, on=_GROUP, how="full", coalesce=True).with_columns(pl.exclude(_GROUP).fill_null(0))


def _table(changes: Sequence[pl.DataFrame]) -> Table:
    """The sums of all slices, the greatest change first."""
    rows = pl.concat(changes).group_by(_GROUP).agg(pl.exclude(_GROUP).sum())
    rows = rows.with_columns(
        calls_after=pl.col("calls_before") + pl.col("more_calls"),
        after_usd=pl.col("before_usd") + pl.col("difference_usd"),
    )
    ordered = rows.sort(pl.col("difference_usd").abs(), *_GROUP, descending=[True, *[False] * len(_GROUP)])
    return Table(_COLUMNS, [list(row) for row in ordered.select(_COLUMNS).iter_rows()], title="Calls by today's tables")
