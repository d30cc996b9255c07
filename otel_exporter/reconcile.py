"""Reconcile: finds the calls that two posting writers left broken, and mends them (DESIGN 5, `processors.reconcile`).

`serve` keeps others from its data directory; on a ClickHouse server several may post to one ledger. Two that race see
only a part of each other's entries. `otel_exporter.second_look` mends that at once; this finds what that cannot: what
a receiver posted just before it was killed, and the sides of a call that no look-up brings together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

import polars as pl
import structlog

from clickhouse_schema import retention
from clickhouse_schema.mending import Differences, differences, mend
from clickhouse_schema.rollups import ROLLUPS
from otel_exporter.asking import Ask, direct, table
from otel_exporter.second_look import SecondLook, related_entries, repair_number
from otel_exporter.telemetry import Metric
from processors.contract import LEDGER_SCHEMA
from processors.post import Price
from processors.reconcile import reconcile

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

log = structlog.get_logger(__name__)
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
RECENT: Final = timedelta(days=1)
#: How long before it looked last something may have been posted that was not there yet.
_OVERLAP: Final = timedelta(minutes=30)
EVERY_SECONDS: Final = 3600.0
RETRY_SECONDS: Final = 300.0
#: After so long a difference is no insert under way: a writer offers a batch again at least every 30 seconds.
STANDS_SECONDS: Final = 600.0
#: Calls mended at once; the next run goes on with the others.
_MOST: Final = 10_000
_WITHIN: Final = """started_at >= parseDateTime64BestEffort({since:String}, 9, 'UTC')
    AND started_at < parseDateTime64BestEffort({until:String}, 9, 'UTC')"""
#: What was posted since the last look: only that can be one with something it did not find, because another writer
#: posted at the same time, or because the clocks of its two senders are further apart than a look-up reaches.
_POSTED: Final = "posted_at >= parseDateTime64BestEffort({posted:String}, 3, 'UTC')"
#: The signs of one version of a call sum to 0 or 1, and one version stands.
_UNBALANCED: Final = f"""
SELECT tenant, call_key, if(countIf(net NOT IN (0, 1)) > 0, 'unbalanced', 'several versions') AS why
FROM (
    SELECT tenant, call_key, version, sum(sign) AS net FROM genai_ledger WHERE {_WITHIN}
    GROUP BY tenant, call_key, version
)
GROUP BY tenant, call_key HAVING countIf(net NOT IN (0, 1)) > 0 OR countIf(net = 1) > 1
ORDER BY tenant, call_key LIMIT {_MOST}
"""
_STANDING: Final = f"""
SELECT tenant, call_key AS key, any(handles) AS names, any(span_id) AS span, any(parent_span_id) AS parent,
    any(sources) AS seen_by, any(started_at) AS start, any(ended_at) AS end
FROM genai_ledger WHERE {_WITHIN} AND {_POSTED} GROUP BY tenant, call_key, version HAVING sum(sign) > 0
"""
#: Two calls stand that share an identity key, and nobody found the id to be used again.
_SHARED: Final = f"""
SELECT DISTINCT tenant, arrayJoin([min(key), max(key)]) AS call_key, 'shared id' AS why
FROM (
    SELECT tenant, call_key AS key, max(posted_at) AS posted_at,
        arrayJoin(any(arrayFilter(name -> NOT match(name, '^(trace|request):'), handles))) AS name
    FROM genai_ledger WHERE {_WITHIN} AND NOT has(issues, 'response_id_reused')
    GROUP BY tenant, call_key, version HAVING sum(sign) > 0
)
GROUP BY tenant, cityHash64(name) HAVING min(key) != max(key) AND max({_POSTED}) ORDER BY tenant, call_key LIMIT {_MOST}
"""
_TRACED: Final = f"""
SELECT tenant, key, seen_by, start, end, match(key, '^(span:|log/)') AS nameless,
    substring(arrayJoin(arrayFilter(name -> startsWith(name, 'trace:'), names)), 7) AS trace,
    concat('span:', trace, '/', parent) AS above, arrayPushBack(names, concat('span:', trace, '/', span)) AS spans
FROM ({_STANDING})
"""
#: A call without an id stands beside one that it may be a view of: another source saw it at the same time, or their
#: spans are the same, or parent and child. Traces of very many calls are left out: pairs grow with the square.
_APART: Final = f"""
SELECT DISTINCT tenant, arrayJoin([outer.key, inner.key]) AS call_key, 'apart' AS why
FROM ({_TRACED}) AS outer INNER JOIN ({_TRACED}) AS inner ON outer.tenant = inner.tenant AND outer.trace = inner.trace
WHERE outer.nameless AND outer.key != inner.key
    AND (outer.start <= inner.end AND outer.end >= inner.start AND NOT hasAny(outer.seen_by, inner.seen_by)
        OR has(outer.spans, inner.above) OR has(inner.spans, outer.above) OR hasAny(inner.spans, outer.spans))
    AND (outer.tenant, outer.trace) IN (
        SELECT tenant, trace FROM ({_TRACED}) GROUP BY tenant, trace HAVING count() BETWEEN 2 AND 200 AND max(nameless)
    )
ORDER BY tenant, call_key LIMIT {_MOST}
"""
#: A client's view of a gateway cache hit stands with the original, whose id it repeats (60 s: when its log came).
_CACHED: Final = f"""
SELECT DISTINCT tenant, arrayJoin([hit.key, other.key]) AS call_key, 'cache hit' AS why
FROM (
    SELECT tenant, call_key AS key, any(trace_id) AS trace, any(response_id) AS answer,
        toUnixTimestamp64Nano(any(started_at)) AS start, toUnixTimestamp64Nano(any(ended_at)) + 60000000000 AS end
    FROM genai_ledger WHERE {_WITHIN} AND cache_hit AND response_id != '' AND trace_id != ''
    GROUP BY tenant, call_key, version HAVING sum(sign) > 0
) AS hit INNER JOIN (
    SELECT tenant, call_key AS key, any(response_id) AS answer, any(said) AS heard
    FROM genai_ledger WHERE {_WITHIN} AND NOT ifNull(cache_hit, 0)
        AND (tenant, response_id) IN (SELECT tenant, response_id FROM genai_ledger WHERE {_WITHIN} AND cache_hit)
    GROUP BY tenant, call_key, version HAVING sum(sign) > 0
) AS other ON hit.tenant = other.tenant AND hit.answer = other.answer
WHERE arrayExists(one -> one['trace_id'] = hit.trace
    AND toInt64OrZero(one['started_at']) <= hit.end AND toInt64OrZero(one['ended_at']) >= hit.start, other.heard)
ORDER BY tenant, call_key LIMIT {_MOST}
"""


@dataclass(frozen=True)
class Broken:
    """A call that does not stand exactly once.

    ``why``: `unbalanced` (the signs of a version do not sum to 0 or 1), `several versions` (more than one stands),
    `shared id` (another call has the same identity key), `apart` (it is what another call contains), `cache hit` (a
    client's view of a gateway cache hit stands with the original).
    """

    tenant: str
    call_key: str
    why: str


def find(ask: Ask, since: datetime, until: datetime, posted: datetime = LONG_AGO) -> list[Broken]:
    """Calls that may be broken, each once.

    Args:
        ask: where the ledger is.
        since, until: only calls that started from then, and before then.
        posted: only what was posted at or after then is suspected to be a side of a call that stands twice.

    All but the first two are suspicions: a repair that finds them right posts nothing.
    """
    moments = {"since": since, "until": until, "posted": posted}
    bounds = {name: moment.astimezone(UTC).isoformat() for name, moment in moments.items()}
    found: dict[tuple[str, str], Broken] = {}
    for sql in (_UNBALANCED, _SHARED, _APART, _CACHED):
        for tenant, call_key, why in table(ask, sql, bounds).rows:
            found.setdefault((tenant, call_key), Broken(tenant, call_key, why))
    return sorted(found.values(), key=lambda broken: (broken.tenant, broken.call_key))


def repairs(store: Store, broken: Sequence[Broken], price: Price, posted_at: datetime) -> dict[str, pl.DataFrame]:
    """Tenant to the entries that leave every broken call standing once; tenants without any are left out."""
    mended = {}
    for tenant, mine in groupby(broken, key=lambda one: one.tenant):
        entries = reconcile(
            related_entries(store, tenant, {one.call_key for one in mine}), price, posted_at, repair_number()
        )
        if entries.height:
            mended[tenant] = entries
    return mended


class Reconciler:
    """Looks at the recent calls now and then, between two batches of the writer (`Writer`'s ``repairs``).

    Rollups are compared with the ledger too, all of it the first time: see `mending`. With the ledger to itself it
    mends a difference at once; where others post (``second_look``), when it is still the same after `STANDS_SECONDS`.
    Whatever fails here must not stop the writer: it is logged and tried again later.
    """

    def __init__(
        self,
        store: Store,
        price: Price,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        second_look: SecondLook | None = None,
    ) -> None:
        self._store = store
        self._price = price
        self._clock = clock
        self._now = now
        self._second_look = second_look
        self._due = clock()
        self._looked = LONG_AGO
        self._compared = False
        self._standing: Differences = {}

    def __call__(self) -> dict[str, pl.DataFrame]:
        """Table to entries that mend what is broken; nothing while it is not yet time to look again."""
        if self._clock() < self._due:
            return {}
        now = self._now()
        try:
            entries = self._mend(now)
            self._mend_rollups(now)
        except Exception as error:  # its text may quote data
            log.warning("cannot reconcile now, will try again", error=type(error).__name__)
            self._due = self._clock() + RETRY_SECONDS
            return {}
        self._due = self._clock() + (STANDS_SECONDS if self._standing else EVERY_SECONDS)
        return {"genai_ledger": entries} if entries.height else {}

    def _mend_rollups(self, now: datetime) -> None:
        since = retention.whole_since(self._store, now.date())
        if self._compared and not self._standing:
            recent = (now - RECENT).date()
            since = {rollup.name: max(recent, since.get(rollup.name, recent)) for rollup in ROLLUPS}
        for rollup, days in mend(self._store, since, self._standing if self._second_look else None).items():
            log.warning("a rollup was not the ledger's sum; it is mended", rollup=rollup, days=len(days))
        self._standing = differences(self._store, since) if self._second_look else {}
        self._compared = True

    def _mend(self, now: datetime) -> pl.DataFrame:
        broken = find(direct(self._store), now - RECENT, now + RECENT, self._looked)
        mended = repairs(self._store, broken, self._price, now)
        self._looked = now - _OVERLAP
        entries = pl.concat([pl.DataFrame(schema=LEDGER_SCHEMA), *mended.values()])
        if entries.height:
            calls = entries["call_key"].n_unique()
            Metric.MENDED.add(calls)
            log.warning("two writers posted at once; the ledger is mended", calls=calls, entries=entries.height)
        if self._second_look is not None:  # another receiver may be mending them, too
            for tenant, mine in mended.items():
                self._second_look.suspect(tenant, set(mine["call_key"]))
        return entries
