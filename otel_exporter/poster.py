"""Posting: looks the ledger up for what it already knows of a batch's calls, and computes the entries to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter.commit import stage
from otel_exporter.second_look import Posted, SecondLook, nets
from otel_exporter.telemetry import Metric
from processors.post import Price, looked_up, post

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: Observations of one call may start this far apart (clocks, retries inside a client span): DESIGN 5.
SKEW: Final = timedelta(hours=1)
#: The last second a DateTime64(9) can name: a sender's clock may say anything, ClickHouse refuses to be asked for more.
_END_OF_TIME: Final = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)


class LedgerPoster:
    """Turns observations into ledger entries; the only reader of the ledger on the way in."""

    def __init__(
        self,
        store: Store,
        price: Price,
        posted: Callable[[pl.DataFrame], None] = lambda _entries: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        second_look: SecondLook | None = None,
    ) -> None:
        self._store = store
        self._price = price
        self._posted = posted
        self._now = now
        self._second_look = second_look

    def entries(self, tenant: str, observations: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Table -> rows. Called once per batch and tenant; what it returns is written as is, however often."""
        if observations.is_empty():
            return {}
        asked: list[str] = []
        since, until = _around(observations)

        def find(names: list[str]) -> pl.DataFrame:
            asked[:] = names
            return self._store.ledger_entries(tenant, names, since, until)

        with stage("lookup"):
            current = looked_up(observations, find)
        with stage("post"):
            entries = post(observations, current, self._price, self._now())
        if self._second_look is not None:
            self._second_look.posted(Posted(tenant, asked, since, until, nets(current, entries)))
        _count(entries)
        self._posted(entries)
        return {"genai_ledger": entries} if entries.height else {}


def _around(observations: pl.DataFrame) -> tuple[datetime, datetime]:
    """The hours in which calls that may be theirs have started."""
    since, until = observations["started_at"].min(), observations["ended_at"].max()
    assert isinstance(since, datetime) and isinstance(until, datetime)
    return since - SKEW, min(until, _END_OF_TIME - SKEW) + SKEW


def _count(entries: pl.DataFrame) -> None:
    new = entries.filter(pl.col("sign") > 0)
    Metric.ENTRIES.add(new.height, sign="entry")
    Metric.ENTRIES.add(entries.height - new.height, sign="reversal")
    for issue, count in Counter(new["issues"].explode().drop_nulls().to_list()).items():
        Metric.ISSUES.add(count, issue=issue)
