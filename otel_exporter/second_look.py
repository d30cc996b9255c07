"""A second look: where other receivers post to the same ledger, the calls of each batch are looked up again after it.

Two receivers that look a call up at the same time do not see each other's entries, and both post: it stands twice, or
is reversed twice. Nothing can keep them from it (a ClickHouse server has no lock that a killed process gives back), but
the one whose insert came last sees everything. So each looks again at what it has posted; where the ledger is not what
the batch should have left, the calls are joined again (`processors.reconcile`) and the difference is posted.

Two may mend the same call at the same time, too: so each waits a while by chance before it does, and what was mended is
looked at again until nothing is left to mend.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import polars as pl
import structlog

from clickhouse_schema.errors import StoreRejected
from clickhouse_schema.lookup import standing
from otel_exporter.telemetry import Metric
from processors.contract import LEDGER_SCHEMA
from processors.post import REPAIRS, Price
from processors.reconcile import reconcile

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

log = structlog.get_logger(__name__)
_VERSION: Final = ["call_key", "version"]
#: Two that mend the same must not meet again: seconds of chance, more each time.
_FIRST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Posted:
    """What one batch should have left: how a tenant was looked up, and what stands then."""

    tenant: str
    handles: Sequence[str]
    since: datetime
    until: datetime
    nets: pl.DataFrame  # call_key, version, net; none is 0


def nets(*entries: pl.DataFrame) -> pl.DataFrame:
    """What stands after these entries: (call_key, version, net) where the signs do not sum to 0."""
    signs = pl.concat([frame.select(*_VERSION, pl.col("sign").cast(pl.Int64)) for frame in entries])
    return signs.group_by(_VERSION).agg(pl.col("sign").sum().alias("net")).filter(pl.col("net") != 0)


class SecondLook:
    """The writer's ``repairs`` between two batches: what was posted is in the store by then.

    Args:
        store: where the ledger is.
        price: the price book.
        clock: seconds.
        now: what is written on the entries.
    """

    def __init__(
        self,
        store: Store,
        price: Price,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._price = price
        self._clock = clock
        self._now = now
        self._posted: list[Posted] = []
        self._suspects: defaultdict[str, set[str]] = defaultdict(set)
        self._due = 0.0
        self._attempts = 0

    def posted(self, posted: Posted) -> None:
        """A batch was computed. Looked at once it is in; one that never gets there is a false alarm, no harm."""
        self._posted.append(posted)

    def suspect(self, tenant: str, call_keys: set[str]) -> None:
        """Look at these calls, too."""
        if not self._suspects:
            self._defer()
        self._suspects[tenant] |= call_keys

    def __call__(self) -> dict[str, pl.DataFrame]:
        """Table to entries that mend what a race broke.

        Raises:
            StoreUnavailable: what could not be looked at is looked at the next time.
        """
        try:
            while self._posted:
                self._look(self._posted[0])
                del self._posted[0]
            if not self._suspects or self._clock() < self._due:
                return {}
            return self._mended()
        except StoreRejected as refused:  # for ever: nothing may wait for it, and the hourly reconciliation looks, too
            log.warning("the ledger cannot be looked at again after a batch", reason=refused.sentence)
            if self._posted:
                del self._posted[0]
            else:
                self._suspects.clear()
            return {}

    def _look(self, posted: Posted) -> None:
        found = self._changed(posted)
        if found:
            self.suspect(posted.tenant, found)

    def _changed(self, posted: Posted) -> set[str]:
        """The calls that are not what the batch should have left (somebody else has posted), or were broken before."""
        now = standing(self._store, posted.tenant, posted.handles, posted.since, posted.until)
        both = posted.nets.join(now, on=_VERSION, how="full", coalesce=True, suffix="_now")
        changed = ~pl.col("net").eq_missing(pl.col("net_now"))
        broken = (pl.col("net_now") != 1) | ((pl.col("net_now") == 1).sum().over("call_key") > 1)
        return set(both.filter(changed | broken)["call_key"])

    def _defer(self) -> None:
        seconds = min(_MOST_SECONDS, _FIRST_SECONDS * 2.0**self._attempts)
        self._due = self._clock() + random.uniform(0.0, seconds)

    def _mended(self) -> dict[str, pl.DataFrame]:
        parts = [pl.DataFrame(schema=LEDGER_SCHEMA)]
        broken: dict[str, set[str]] = {}
        for tenant, call_keys in self._suspects.items():
            related = related_entries(self._store, tenant, call_keys)
            entries = reconcile(related, self._price, self._now(), repair_number())
            if entries.height:
                parts.append(entries)
                broken[tenant] = set(entries["call_key"])
        self._suspects = defaultdict(set, broken)
        self._attempts = self._attempts + 1 if broken else 0
        if not broken:
            return {}
        self._defer()
        Metric.MENDED.add(calls := sum(map(len, broken.values())))
        log.info("another receiver posted the same calls; mended", calls=calls)
        return {"genai_ledger": pl.concat(parts)}


def repair_number() -> int:
    """For `processors.reconcile`."""
    return 1 + secrets.randbelow(REPAIRS - 1)


def related_entries(store: Store, tenant: str, call_keys: set[str]) -> pl.DataFrame:
    """Every entry of these calls and of all calls they share a handle with, however far: nothing joined is cut."""
    handles = call_keys
    while True:
        found = store.ledger_entries(tenant, sorted(handles), None, None)
        named = set(found["handles"].explode().drop_nulls()) | handles
        if named == handles:
            return found
        handles = named
