"""Group commit: what arrived while the last group was worked on becomes columns, is processed, and is made durable.

    requests -> decode -> processors -> land -> one spool segment a tenant (fsync) -> outcome per request

A request that cannot be decoded or processed is refused alone; its neighbours are committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import polars as pl
import structlog

from otel_exporter.content_shelf import CONTENT, ContentShelf
from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.telemetry import Metric
from processors.attribute_lists import AttributeLists
from processors.batch import Batch, Signal
from processors.land import OBSERVATIONS, land

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_exporter.spool import Spool

log = structlog.get_logger(__name__)
Tables = dict[str, pl.DataFrame]
Key = tuple[str, bytes]
Outcomes = dict[Key, Exception | None]
#: Who is told about a committed group: tenant, tables.
Observer = Callable[[str, Tables], None]


@dataclass(frozen=True)
class Request:
    """One validated Export*ServiceRequest, as protobuf bytes."""

    signal: Signal
    tenant: str
    body: bytes
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = blake2b(self.body, digest_size=16, person=self.signal.encode()).digest()
        object.__setattr__(self, "digest", digest)

    @property
    def key(self) -> Key:
        """What identifies a byte-identical resend."""
        return self.tenant, self.digest


class Decode(Protocol):
    """OTLP bytes to columns."""

    def __call__(self, signal: Signal, requests: list[bytes], tenant: str) -> Batch:
        """One batch of all requests."""
        ...


class GroupCommit:
    """Makes groups of requests durable. One thread at a time."""

    def __init__(
        self,
        decode: Decode,
        processors: Sequence[Callable[[Batch], Batch]],
        spool: Spool,
        observer: Observer | None = None,
        content: ContentShelf | None = None,
        tenants: Mapping[str, Sequence[Callable[[Batch], Batch]]] = MappingProxyType({}),
        admit: Callable[[str], None] = lambda _tenant: None,
    ) -> None:
        self._decode = decode
        self._processors = list(processors)
        self._tenants = tenants  # those with processors of their own
        self._spool = spool
        self._content = content
        self._admit = admit
        self._observer = observer or (lambda _tenant, _tables: None)

    def commit(self, requests: Sequence[Request]) -> Outcomes:
        """Outcome per request key: None when it is durable, else `Refused` or `RetryLater`."""
        outcomes: Outcomes = {}
        by_tenant = groupby(sorted(requests, key=lambda r: (r.tenant, r.signal)), key=lambda r: r.tenant)
        for tenant, mine in by_tenant:
            outcomes |= self._commit_tenant(tenant, list(mine))
        return outcomes

    def _commit_tenant(self, tenant: str, requests: list[Request]) -> Outcomes:
        try:
            self._admit(tenant)
        except Refused as refused:
            return {request.key: refused for request in requests}
        try:
            tables = self._tables(tenant, requests)
        except Exception as error:
            if len(requests) > 1:
                return {k: v for request in requests for k, v in self._commit_tenant(tenant, [request]).items()}
            return {requests[0].key: _unreadable(requests[0], error)}
        try:
            with stage("spool"):
                self._spool.append(tables, tenant=tenant, digests=[request.digest for request in requests])
        except (Refused, RetryLater) as failure:
            return {request.key: failure for request in requests}
        if self._content:
            self._content.stored(tables)
        self._observer(tenant, tables)
        return {request.key: None for request in requests}

    def _processed(self, batch: Batch) -> tuple[Batch, Batch]:
        """The batch after all processors, and as it was before the last of them chose what to store."""
        whole = None
        for processor in self._tenants.get(batch.tenant, self._processors):
            name = type(processor).__name__.lower()
            whole = batch if isinstance(processor, AttributeLists) else whole
            with stage(name):
                after = processor(batch)
            _count_dropped(batch, after, name)
            batch = after
        return batch, whole or batch

    def _tables(self, tenant: str, requests: list[Request]) -> Tables:
        parts: list[Tables] = []
        for signal, mine in groupby(requests, key=lambda request: request.signal):
            with stage("decode"):
                batch = self._decode(signal, [request.body for request in mine], tenant)
            batch, whole = self._processed(batch)
            with stage("land"):
                batch, messages = self._content.put(batch) if self._content else (batch, None)
                parts.append(land(batch, whole))
                parts += [] if messages is None or messages.is_empty() else [{CONTENT: messages}]
        names = {name for part in parts for name in part}
        tables = {name: pl.concat([part[name] for part in parts if name in part]) for name in sorted(names)}
        for source, calls in tables.get(OBSERVATIONS, pl.DataFrame({"source": []})).group_by("source"):
            Metric.CALLS.add(calls.height, source=str(source[0]))
        return tables


def _count_dropped(before: Batch, after: Batch, processor: str) -> None:
    for metric, frame in ((Metric.DROPPED_RECORDS, "records"), (Metric.DROPPED_ATTRIBUTES, "attributes")):
        if (gone := getattr(before, frame).height - getattr(after, frame).height) > 0:
            metric.add(gone, signal=before.signal.value, processor=processor)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the wall time of a stage."""
    started = time.perf_counter()
    try:
        yield
    finally:
        Metric.STAGE_SECONDS.add(time.perf_counter() - started, stage=name)


def _unreadable(request: Request, error: Exception) -> Exception:
    if isinstance(error, Refused | RetryLater):
        return error
    # The message may hold payload text: only the type is logged.
    log.error("request cannot be processed", signal=request.signal.value, error=type(error).__name__)
    sentence = f"the {request.signal.value} request is valid protobuf but could not be processed"
    return Refused(Reason.MALFORMED, sentence)
