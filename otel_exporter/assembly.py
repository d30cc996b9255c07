"""Assembly: the parts between the doors and ClickHouse, put together from the settings. Everything has one order here.

commit (decode -> processors -> spool) ........ writer (freeze -> post -> insert) -> store
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import polars as pl
import structlog

from clickhouse_schema import probe, retention, runner
from clickhouse_schema.errors import StoreRejected
from clickhouse_schema.store import Store
from clickhouse_schema.tables import INSERTED
from otel_exporter import pricebook
from otel_exporter.asking import opened
from otel_exporter.books.record import last_cut
from otel_exporter.chains import chains, keeps_content
from otel_exporter.commit import GroupCommit, Tables
from otel_exporter.content_shelf import ContentShelf
from otel_exporter.deadletter import Explanation
from otel_exporter.decode import Decoder
from otel_exporter.enrichment import Attribution, sources
from otel_exporter.identity import Directory, Keyring
from otel_exporter.living_prices import LivingPrices
from otel_exporter.poster import LedgerPoster
from otel_exporter.posting_clock import PostingClock
from otel_exporter.preparation import Preparation
from otel_exporter.reconcile import Reconciler
from otel_exporter.second_look import SecondLook
from otel_exporter.spool import Spool, survey
from otel_exporter.writer import Writer
from processors.land import OBSERVATIONS
from processors.post import Price
from processors.price import PriceBook

if TYPE_CHECKING:
    from otel_exporter.config import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Assembly:
    """The running parts."""

    store: Store
    spool: Spool
    commit: GroupCommit
    writer: Writer
    price: Price
    clock: PostingClock
    keys: Keyring
    directory: Directory | None  # None: the data are on a server
    attribution: Attribution
    decide: Price  # both: everything that is decided when a call is posted
    prepared: Preparation


class Watcher:
    """Is told what happens; does nothing with it. The checklist does."""

    def committed(self, tenant: str, tables: Tables) -> None:
        """A group is durable."""

    def posted(self, entries: pl.DataFrame) -> None:
        """Ledger entries were computed and are about to be inserted."""


class Watchers(Watcher):
    """Several, told in this order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def committed(self, tenant: str, tables: Tables) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.committed(tenant, tables)

    def posted(self, entries: pl.DataFrame) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.posted(entries)


@contextmanager
def assembled(
    settings: Settings, watcher: Watcher | None = None, *, reconciling: bool = False, patient: bool = False
) -> Iterator[Assembly]:
    """Open the store (migrated) and the spool, and put the pipeline together; everything is closed afterwards.

    With ``reconciling`` the writer also mends recent calls, when it starts and every hour (`otel_exporter.reconcile`).
    With ``patient`` a ClickHouse server need not be there: the writer prepares it before its first batch.
    """
    watcher = watcher or Watcher()
    with ExitStack() as stack:
        patient = patient and settings.store.server is not None
        store = stack.enter_context(opened(settings, create=True, connected=not patient))
        clock = PostingClock()
        prepared = Preparation(partial(_prepare, store, settings, clock))
        prepared.begin() if patient else prepared()
        engine = store if store.is_embedded else stack.enter_context(closing(Store.memory()))
        spool = stack.enter_context(closing(Spool(settings.store.data_dir / "spool", settings.spool.max_bytes)))
        keys = Keyring(settings.key_file)
        directory = _directory(settings, store, keys) if store.is_embedded else None
        admit = directory.admit if directory else _everybody
        shelf = ContentShelf() if keeps_content(settings) else None
        chain, tenants = chains(settings)
        commit = GroupCommit(Decoder(engine).decode, chain, spool, watcher.committed, shelf, tenants, admit)
        price = LivingPrices(settings.store.data_dir, lambda: price_book(settings))
        attributed = attribution(settings)
        decide = _both(attributed, price)
        shared = None if store.is_embedded else SecondLook(store, decide, now=clock)  # others may post to a server
        poster = LedgerPoster(store, decide, watcher.posted, clock, shared, partial(_set_aside, spool))
        reconciler = Reconciler(store, decide, now=clock, second_look=shared) if reconciling else dict
        repairs = (lambda: shared() or reconciler()) if shared else reconciler
        writer = Writer(spool, store, poster, repairs=repairs, now=clock, shared=shared is not None, prepare=prepared)
        yield Assembly(store, spool, commit, writer, price, clock, keys, directory, attributed, decide, prepared)


def _prepare(store: Store, settings: Settings, clock: PostingClock) -> None:
    """Everything that is asked of a store before it is used; repeating it is harmless."""
    runner.apply(store)
    probe.sweep(store)
    retention.keep(store, dict(settings.retention))
    store.catch_up()
    if (cut := last_cut(store)) is not None:
        clock.after(cut)


def _set_aside(spool: Spool, tenant: str, observations: pl.DataFrame, why: StoreRejected) -> None:
    """Observations that the ledger cannot be asked about become a dead letter; found again, the same one."""
    names = "\0".join([tenant, *observations["observation_id"].sort()])
    letter = f"{blake2b(names.encode(), digest_size=16).hexdigest()}-{OBSERVATIONS}"
    words = f"the ledger cannot be asked about them: {why.sentence}: {why.detail}"
    explanation = Explanation(OBSERVATIONS, observations.height, words, why.code, time.time(), tenant)
    spool.dead_letters.keep_rows(letter, observations, explanation)
    log.error("observations are now a dead letter", rows=observations.height, letter=letter, error=why.sentence)


_TENANTS: Final = " UNION DISTINCT ".join(
    f"SELECT DISTINCT tenant FROM otel.{table}" for table in ("genai_ledger", "genai_content", "genai_limits")
)
_RECORDS: Final = " UNION ALL ".join(
    f"(SELECT 1 AS one FROM otel.{table} LIMIT 1)" for table in INSERTED if table.startswith("otel_")
)


def _directory(settings: Settings, store: Store, keys: Keyring) -> Directory:
    data_dir = settings.store.data_dir

    def found() -> set[str]:
        """Spans, logs and points of a time before tenants were on record may be anybody's: they count as ours."""
        tenants = {segment.tenant for segment in survey(data_dir / "spool")}
        tenants |= set(store.arrow(_TENANTS)["tenant"].to_list())
        return tenants | ({settings.ingest.tenant} if store.arrow(_RECORDS).height else set())

    return Directory(data_dir, keys, found)


def _everybody(_tenant: str) -> None:
    """On a server row policies keep tenants apart."""


def attribution(settings: Settings) -> Attribution:
    """Whose calls are whose, of these settings. Raises Refused."""
    return Attribution(sources(settings.enrichment))


def _both(attributed: Attribution, price: Price) -> Price:
    return lambda calls: price(attributed(calls))


def price_book(settings: Settings) -> PriceBook:
    """The price book of these settings. Raises NoPriceTable."""
    return pricebook.price_book(**dict(settings.prices), data_dir=settings.store.data_dir)
