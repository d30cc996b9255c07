"""Posting: looks the ledger up for what it already knows of a batch's calls, and computes the entries to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from otel_exporter.commit import stage
from otel_exporter.looking_up import Found, LookUp, SetAside
from otel_exporter.second_look import Posted, SecondLook, nets
from otel_exporter.telemetry import Metric
from processors.post import Price, post

if TYPE_CHECKING:
    from clickhouse_schema.store import Store


class LedgerPoster:
    """Turns observations into ledger entries; the only reader of the ledger on the way in."""

    def __init__(
        self,
        store: Store,
        price: Price,
        posted: Callable[[pl.DataFrame], None] = lambda _entries: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        second_look: SecondLook | None = None,
        set_aside: SetAside | None = None,
    ) -> None:
        """A poster.

        Args:
            store: where the ledger is.
            price: what is decided when a call is posted.
            posted: told about entries before they are written.
            now: when a posting is made.
            second_look: told what the ledger should hold after a batch.
            set_aside: makes observations durable that the ledger cannot be asked about, before the others are posted;
                None: they hold up the batch.
        """
        self._store = store
        self._price = price
        self._posted = posted
        self._now = now
        self._second_look = second_look
        self._set_aside = set_aside

    def entries(self, tenant: str, observations: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Table -> rows. Called once per batch and tenant; what it returns is written as is, however often.

        Raises:
            StoreUnavailable, StoreRejected: the ledger cannot be asked.
            OSError: what has to be set aside cannot be.
        """
        if observations.is_empty():
            return {}
        with stage("lookup"):
            found = LookUp(self._store, tenant, observations)()
        observations = self._without_refused(tenant, observations, found)
        with stage("post"):
            entries = post(observations, found.current, self._price, self._now())
        self._look_again(tenant, found, entries)
        _count(entries)
        self._posted(entries)
        return {"genai_ledger": entries} if entries.height else {}

    def _without_refused(self, tenant: str, observations: pl.DataFrame, found: Found) -> pl.DataFrame:
        """What can be posted. The rest is durable elsewhere, so that it can be posted later: order does not matter."""
        if found.why is None:
            return observations
        if self._set_aside is None:
            raise found.why
        refused = pl.concat(found.refused)
        self._set_aside(tenant, refused, found.why)
        return observations.join(refused, on="observation_id", how="anti", maintain_order="left")

    def _look_again(self, tenant: str, found: Found, entries: pl.DataFrame) -> None:
        if self._second_look is None:
            return
        if len(found.asked) == 1:
            (asked,) = found.asked
            standing = nets(found.current, entries)
            self._second_look.posted(Posted(tenant, asked.handles, asked.since, asked.until, standing))
        elif entries.height:  # the question as a whole is refused: the calls are joined again, whatever stands
            self._second_look.suspect(tenant, set(entries["call_key"]))


def _count(entries: pl.DataFrame) -> None:
    new = entries.filter(pl.col("sign") > 0)
    Metric.ENTRIES.add(new.height, sign="entry")
    Metric.ENTRIES.add(entries.height - new.height, sign="reversal")
    for issue, count in Counter(new["issues"].explode().drop_nulls().to_list()).items():
        Metric.ISSUES.add(count, issue=issue)
