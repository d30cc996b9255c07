"""OTLP bytes become columns: `validate` at the door, `decode` once per batch.

Two routes give the same batch: `columnar` has ClickHouse read the bytes, `walk` reads them message by message with upb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from otel_exporter.decode import columnar
from otel_exporter.decode.columnar import ArrowEngine
from otel_exporter.decode.door import validate
from otel_exporter.decode.walker import walk
from otel_exporter.telemetry import Metric
from processors.batch import Batch, Signal

__all__ = ["SMALL_BYTES", "ArrowEngine", "decode", "validate", "walk"]
log = structlog.get_logger(__name__)

#: Smaller batches are walked. A query costs milliseconds before it reads its first span; measured, the routes cost the
#: same somewhere between 150 and 400 kB.
SMALL_BYTES: Final = 256 * 1024


def decode(
    engine: ArrowEngine | None,
    signal: Signal,
    requests: Sequence[bytes],
    tenant: str,
    *,
    small_bytes: int = SMALL_BYTES,
) -> Batch:
    """All records of ``requests`` (each passed `validate`), in order, as one batch.

    Args:
        engine: reads traces and logs of ``small_bytes`` and more; metrics are always walked. None: everything is.
        signal: what the requests are.
        requests: serialized Export*ServiceRequests.
        tenant: whose they are, as the credential said.
        small_bytes: see `SMALL_BYTES`.

    Raises:
        Refused: MALFORMED: a request is not well formed after all.
    """
    if engine is None or signal is Signal.METRICS or sum(map(len, requests)) < small_bytes:
        return walk(signal, requests, tenant)
    try:
        return columnar.decode(engine, signal, requests, tenant)
    except Exception as error:
        # upb took these bytes, and ClickHouse did not or cannot now: the other route gives the same batch, more slowly.
        # The error's text may quote payload, its type cannot.
        log.warning("decoding as columns failed, walking", signal=signal.value, error=type(error).__name__)
        Metric.DECODE_FALLBACKS.add(signal=signal.value)
        return walk(signal, requests, tenant)
