"""How much a tenant may send: requests and bytes a second, and the size of one body.

A bucket of one second's worth, that may be overdrawn by the one request whose size was not known before it came. The
request after it waits until the debt is gone, so the mean never exceeds the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.telemetry import Metric

_LONGEST_PAUSE: Final = 60.0  # seconds a sender is asked to wait at most


@dataclass(frozen=True)
class Limit:
    """The limits of one tenant, or with ``tenant`` None of each one that has none of its own. None: no limit."""

    tenant: str | None
    requests_per_second: float | None = None
    bytes_per_second: int | None = None
    max_body_bytes: int | None = None


class Quotas:
    """All limits. Belongs to one event loop; not thread-safe."""

    def __init__(self, limits: Iterable[Limit] = (), clock: Callable[[], float] = time.monotonic) -> None:
        by_tenant = {limit.tenant: limit for limit in limits}
        self._others = by_tenant.pop(None, None)
        self._limits = by_tenant
        self._buckets: dict[str, tuple[_Bucket | None, _Bucket | None]] = {}
        self._clock = clock

    def enter(self, tenant: str) -> None:
        """Count a request of ``tenant``.

        Raises:
            RetryLater: it sent too many, or too much.
        """
        limit = self._limit(tenant)
        if limit is None:
            return
        now = self._clock()
        requests, volume = self._of(tenant, limit, now)
        for name, bucket in (("bytes", volume), ("requests", requests)):
            if bucket is not None and (pause := bucket.pause(now)) > 0:
                Metric.LIMITED.add(tenant=tenant, limit=name)
                raise RetryLater(
                    Reason.RATE_LIMITED,
                    f"This tenant may send {bucket.rate:g} {name} a second; send the same request later.",
                    min(pause, _LONGEST_PAUSE),
                )
        if requests is not None:
            requests.take(1)

    def check_body(self, tenant: str, size: int) -> None:
        """Refuse a body of ``size`` bytes on the wire when that is over the tenant's bound.

        Raises:
            Refused: it is.
        """
        limit = self._limit(tenant)
        if limit is not None and limit.max_body_bytes is not None and size > limit.max_body_bytes:
            Metric.LIMITED.add(tenant=tenant, limit="max_body")
            raise Refused(
                Reason.TOO_LARGE,
                f"The request body is larger than the {limit.max_body_bytes} bytes this tenant may send at once.",
            )

    def spend(self, tenant: str, size: int) -> None:
        """A body of ``size`` bytes on the wire arrived."""
        Metric.TENANT_BYTES.add(size, tenant=tenant)
        limit = self._limit(tenant)
        if limit is not None and (volume := self._of(tenant, limit, self._clock())[1]) is not None:
            volume.take(size)

    def _limit(self, tenant: str) -> Limit | None:
        return self._limits.get(tenant, self._others)

    def _of(self, tenant: str, limit: Limit, now: float) -> tuple[_Bucket | None, _Bucket | None]:
        found = self._buckets.get(tenant)
        if found is None:
            rates = (limit.requests_per_second, limit.bytes_per_second)
            requests, volume = (None if rate is None else _Bucket(rate, now) for rate in rates)
            found = self._buckets[tenant] = (requests, volume)
        return found


class _Bucket:
    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._most = max(rate, 1.0)
        self._left = self._most
        self._at = now

    def pause(self, now: float) -> float:
        """Seconds until something may be taken; 0: now."""
        self._left = min(self._most, self._left + (now - self._at) * self.rate)
        self._at = now
        return (_LEAST - self._left) / self.rate if self._left < _LEAST else 0.0

    def take(self, amount: float) -> None:
        self._left -= amount


_LEAST: Final = 1.0  # a request, or a byte, has to be there
