"""Assembly: the parts between the doors and ClickHouse, put together from the settings. Everything has one order here.

commit (decode -> processors -> spool) ........ writer (freeze -> post -> insert) -> store
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from clickhouse_schema import retention, runner
from clickhouse_schema.store import Store
from otel_exporter import pricebook
from otel_exporter.asking import opened
from otel_exporter.commit import GroupCommit, Tables
from otel_exporter.content_shelf import ContentShelf
from otel_exporter.decode import Decoder
from otel_exporter.plugins import before_ours, load
from otel_exporter.poster import LedgerPoster
from otel_exporter.reconcile import Reconciler
from otel_exporter.second_look import SecondLook
from otel_exporter.spool import Spool
from otel_exporter.writer import Writer
from processors.batch import Batch
from processors.content import ContentPolicy, ContentProcessor
from processors.dialects.dialect import Dialect
from processors.identify import Identify
from processors.normalise import Normalise
from processors.post import Price
from processors.price import PriceBook
from processors.redact import Identity, RedactProcessor

if TYPE_CHECKING:
    from otel_exporter.config import Settings


@dataclass(frozen=True)
class Assembly:
    """The running parts."""

    store: Store
    spool: Spool
    commit: GroupCommit
    writer: Writer
    price: Price


class Watcher:
    """Is told what happens; does nothing with it. The checklist does."""

    def committed(self, tenant: str, tables: Tables) -> None:
        """A group is durable."""

    def posted(self, entries: pl.DataFrame) -> None:
        """Ledger entries were computed and are about to be inserted."""


@contextmanager
def assembled(settings: Settings, watcher: Watcher | None = None, *, reconciling: bool = False) -> Iterator[Assembly]:
    """Open the store (migrated) and the spool, and put the pipeline together; everything is closed afterwards.

    With ``reconciling`` the writer also mends recent calls, when it starts and every hour (`otel_exporter.reconcile`).
    """
    watcher = watcher or Watcher()
    with ExitStack() as stack:
        store = stack.enter_context(opened(settings, create=True))
        runner.apply(store)
        retention.keep(store, dict(settings.retention))
        engine = store if store.is_embedded else stack.enter_context(closing(Store.memory()))
        spool = stack.enter_context(closing(Spool(settings.store.data_dir / "spool", settings.spool.max_bytes)))
        shelf = ContentShelf() if settings.content.policy in ("keep", "redact") else None
        commit = GroupCommit(Decoder(engine).decode, processors(settings), spool, watcher.committed, shelf)
        price = price_book(settings).price
        shared = None if store.is_embedded else SecondLook(store, price)  # others may post to a server
        poster = LedgerPoster(store, price, watcher.posted, second_look=shared)
        reconciler = Reconciler(store, price, second_look=shared) if reconciling else dict
        repairs = (lambda: shared() or reconciler()) if shared else reconciler
        writer = Writer(spool, store, poster, repairs=repairs, shared=shared is not None)
        yield Assembly(store, spool, commit, writer, price)


def processors(settings: Settings) -> Sequence[Callable[[Batch], Batch]]:
    """What is done to a batch, in this order.

    `normalise` reads what `content` and `redact` take away, and what it read is redacted too. Nothing after `redact`
    brings text in, so the user's own processors come before it; the user's own dialects are tried before ours.
    """
    own = [load(name) for name in settings.processors]
    policy = ContentPolicy(settings.content.policy)
    key = settings.content.hash_key.reveal().encode() if settings.content.hash_key else b""
    return [
        Normalise(before_ours([part for part in own if isinstance(part, Dialect)])),
        *(part for part in own if not isinstance(part, Dialect)),
        ContentProcessor(policy, key=key),
        RedactProcessor(Identity(settings.content.identity), key=key),
        Identify(),
    ]


def price_book(settings: Settings) -> PriceBook:
    """The price book of these settings. Raises NoPriceTable."""
    return pricebook.price_book(**dict(settings.prices))
