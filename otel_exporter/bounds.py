"""Every bound of the service in one list, for the metric `tokentide_limit`: dashboards need no copy of the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from alerting import notifier
from otel_exporter import pipeline, spool
from otel_exporter.config.faults import Path, dotted
from otel_exporter.config.fields import leaves
from otel_exporter.freeze import Bounds
from otel_exporter.telemetry import Metric
from otel_exporter.writer import Tolerance

if TYPE_CHECKING:
    from otel_exporter.config import Settings

#: Bounds that no setting changes.
FIXED: Final = {
    "pipeline.ack_seconds": pipeline.ACK_SECONDS,
    "pipeline.group_bytes": pipeline.MAX_GROUP_BYTES,
    "spool.cache_bytes": spool.CACHE_BYTES,
    "spool.digests": spool.DIGEST_LIMIT,
    "writer.batch_rows": Bounds.batch_rows,
    "writer.batch_bytes": Bounds.batch_bytes,
    "writer.file_rows": Bounds.file_rows,
    "writer.file_bytes": Bounds.file_bytes,
    "writer.file_partitions": Bounds.file_partitions,
    "writer.dead_letter_rows": Tolerance.rows,
    "alerting.waiting": notifier.CAPACITY,
}


def bounds(settings: Settings) -> Iterator[tuple[str, float]]:
    """Name and value of every bound there is: settings whose name begins with ``max_`` or ``most``, what each tenant
    may send (`identity.limits.<tenant>.…`, `*`: any other tenant), and `FIXED`.
    """
    for path, _ in leaves():
        if str(path[-1]).startswith(("max_", "most")) and not in_list(path):
            value: object = settings
            for part in path:
                value = getattr(value, str(part))
            if isinstance(value, int | float):
                yield dotted(path), float(value)
    for limit in settings.identity.limits:
        for name, value in limit:
            if isinstance(value, int | float):
                yield f"identity.limits.{limit.tenant or '*'}.{name}", float(value)
    yield from FIXED.items()


def in_list(path: Path) -> bool:
    """Whether a setting is one of a list's items: there are as many of it as somebody wrote."""
    return any(str(part).endswith("[]") for part in path)


def publish(settings: Settings) -> None:
    """Set the metric."""
    for name, value in bounds(settings):
        Metric.LIMIT.set(value, bound=name)
