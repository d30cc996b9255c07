"""Files into the ledger without a service: the same commit, spool and writer, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from otel_exporter import otlp_files, runfile
from otel_exporter.assembly import Assembly, assembled
from otel_exporter.commit import Request
from otel_exporter.decode import canonical
from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.spool import Spool
from otel_exporter.telemetry import Metric

if TYPE_CHECKING:
    from otel_exporter.config import Settings

#: How much is committed at once.
_GROUP_BYTES: Final = 16 * 2**20
_DRAIN_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Counts:
    """What was stored."""

    files: int
    requests: int
    records: int
    already_stored: int


@dataclass(frozen=True)
class Replayed:
    """What was waiting and is in ClickHouse now."""

    segments: int
    dead_letters: int


def ingest_files(settings: Settings, paths: Sequence[Path], progress: Callable[[int], None]) -> Counts:
    """Store every request of ``paths``; ``progress`` gets the bytes of each finished file.

    Raises:
        Refused: a file is not OTLP, or holds something that can never be stored.
        RetryLater: the spool is full, or ClickHouse does not take it in time (what is acknowledged stays in the spool).
    """
    tally = {"requests": 0, "records": 0, "already_stored": 0}
    with owned(settings) as parts:
        group: list[Request] = []
        for path in paths:
            for signal, body in otlp_files.read(path):
                read, records = canonical(signal, body)
                request = Request(signal, settings.ingest.tenant, read)
                tally["records"] += records
                tally["requests"] += 1
                if parts.spool.seen(request.tenant, request.digest):
                    tally["already_stored"] += 1
                    Metric.RESENT.add(signal=signal.value)
                    continue
                group.append(request)
                if sum(len(waiting.body) for waiting in group) >= _GROUP_BYTES:
                    commit(parts, group)
                    group = []
            progress(path.stat().st_size)
        commit(parts, group)
        drain(parts)
    return Counts(len(paths), **tally)


def replay_spool(settings: Settings, *, dead_letters: bool) -> Replayed:
    """Write what waits in the spool, and the dead letters when asked."""
    with owned(settings) as parts:
        waiting = len(parts.spool.segments())
        offer = partial(_offer, parts.spool, settings.ingest.tenant)
        offered = parts.spool.dead_letters.replay(offer) if dead_letters else 0
        drain(parts)
    return Replayed(waiting, offered)


@contextmanager
def owned(settings: Settings) -> Iterator[Assembly]:
    """The parts of a data directory that is ours until the block ends.

    Raises:
        AlreadyServing: somebody else owns it.
    """
    with runfile.claim(settings.store.data_dir), assembled(settings) as parts:
        yield parts


def _offer(spool: Spool, ours: str, tables: Mapping[str, pl.DataFrame], digest: bytes, theirs: str) -> None:
    tenant = theirs or ours
    if not spool.seen(tenant, digest):
        spool.append(tables, tenant=tenant, digests=[digest])


def commit(parts: Assembly, group: Sequence[Request]) -> None:
    """Make a group durable, or raise the first failure."""
    unique = {request.key: request for request in group}
    for failure in parts.commit.commit(list(unique.values())).values() if unique else ():
        if failure is not None:
            raise failure


def drain(parts: Assembly) -> None:
    """Write everything that waits in the spool.

    Raises:
        Refused: the writer stopped.
        RetryLater: ClickHouse does not take it in time.
    """
    if parts.writer.drain(_DRAIN_SECONDS):
        return
    state = parts.writer.state
    if state.name == "stopped":
        raise Refused(Reason.STORE, f"the writer stopped: {state.reason}")
    raise RetryLater(Reason.STORE, "ClickHouse does not take what is acknowledged; it stays in the spool")
