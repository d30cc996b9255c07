"""A new version over what an old one left: tables without the newest migrations, a frozen batch, a spool."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.rollups import ROLLUPS
from clickhouse_schema.store import Store
from otel_exporter.asking import opened
from otel_exporter.assembly import assembled, price_book
from otel_exporter.chains import chains
from otel_exporter.commit import GroupCommit, Request
from otel_exporter.config.tree import Settings, StoreSettings
from otel_exporter.decode import Decoder
from otel_exporter.poster import LedgerPoster
from otel_exporter.spool import Spool
from otel_exporter.writer import Writer
from processors.batch import Signal
from tests.corpus.cases import DATA

FILES = sorted(DATA.glob("openinference-openai/*.traces.pb"))
#: The newest migration of the old version.
OLD = 71


def test_what_waits_in_the_spool_survives_an_upgrade(tmp_path: Path) -> None:
    """All that the old version acknowledged is stored once by the new one, and the rollups add up to it."""
    settings = Settings(store=StoreSettings(data_dir=tmp_path / "data"))
    with opened(settings, create=True) as store:
        _old_version(settings, store)
    with assembled(settings) as parts:
        assert len(parts.spool.segments()) == 2
        assert parts.writer.drain(60)
        found = parts.store.arrow(
            """SELECT (SELECT (count(), uniqExact(TraceId, SpanId)) FROM otel.otel_traces) AS spans,
            (SELECT (sum(sign), sum(cost_usd * sign)) FROM otel.genai_ledger) AS ledger,
            (SELECT (sum(calls), sum(cost_usd)) FROM otel.genai_rollup_hour) AS hours"""
        ).row(0, named=True)
        assert len({*found["spans"].values()}) == 1
        assert found["ledger"].values() and list(found["ledger"].values()) == list(found["hours"].values())
        assert min(found["ledger"].values()) > 0
        wrong = [
            each.name for each in ROLLUPS if parts.store.arrow(each.wrong_days(), {"since": date(1970, 1, 1)}).height
        ]
        assert wrong == []
        assert parts.spool.segments() == []


def _old_version(settings: Settings, store: Store) -> None:
    """It freezes one segment, and is gone before it inserts anything; another one waits."""
    runner.apply(store, tuple(known for known in runner.migrations() if known.number <= OLD))
    with closing(Spool(settings.store.data_dir / "spool", 1 << 30)) as spool:
        commit = GroupCommit(Decoder(store).decode, chains(settings)[0], spool)
        writer = Writer(spool, store, LedgerPoster(store, price_book(settings).price))
        first, second = (
            [Request(Signal.TRACES, "t", file.read_bytes()) for file in files] for files in (FILES[:3], FILES[3:])
        )
        assert not any(commit.commit(first).values())
        assert writer._freezer.freeze() is not None
        assert not any(commit.commit(second).values())
