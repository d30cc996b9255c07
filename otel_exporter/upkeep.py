"""Upkeep: commands that post to the ledger themselves, by the durable path, while no `serve` does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter import runfile
from otel_exporter.asking import opened
from otel_exporter.assembly import Assembly, assembled
from otel_exporter.failures import Reason, Refused, RetryLater

if TYPE_CHECKING:
    from otel_exporter.config import Settings

_DRAIN_SECONDS: Final = 600.0


@contextmanager
def upkeep(settings: Settings) -> Iterator[Assembly]:
    """The parts, ours alone, with everything that was acknowledged before already in the ledger.

    Raises:
        Refused: a `serve` owns the directory, or there are no data.
        RetryLater: ClickHouse does not take what waits in the spool.
    """
    refuse_beside_a_serve(settings)
    with opened(settings):
        pass  # there are data: upkeep makes no new database
    with runfile.claim(settings.store.data_dir), assembled(settings) as parts:
        _drain(parts)
        yield parts


def refuse_beside_a_serve(settings: Settings) -> None:
    """Raise Refused when a `serve` is the one who posts."""
    if (running := runfile.find(settings.store.data_dir)) is not None:
        where = f"a tokentide serve is running on {settings.store.data_dir} (process {running.pid})"
        raise Refused(Reason.STORE, f"{where}: stop it first, only one process may post to the ledger")


def post(parts: Assembly, tenant: str, entries: pl.DataFrame) -> None:
    """Make ledger entries durable and write them; afterwards they are in ClickHouse, also if the process dies.

    They carry no digest: entries are computed from the ledger, so running again posts only what is still missing.

    Raises:
        Refused: the writer stopped.
        RetryLater: ClickHouse does not take them in time; they stay in the spool.
    """
    if entries.height:
        parts.spool.append({"genai_ledger": entries}, tenant, digests=())
        _drain(parts)


def _drain(parts: Assembly) -> None:
    if parts.writer.drain(_DRAIN_SECONDS):
        return
    state = parts.writer.state
    if state.name == "stopped":
        raise Refused(Reason.STORE, f"the writer stopped: {state.reason}")
    raise RetryLater(Reason.STORE, "ClickHouse does not take what is acknowledged; it stays in the spool")
