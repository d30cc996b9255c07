"""OTLP bytes become columns: `canonical` at the door, `Decoder.decode` once per batch.

Two routes give the same batch: `columnar` has ClickHouse read the bytes, `walk` reads them message by message with upb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from otel_exporter.decode import columnar
from otel_exporter.decode.census import is_crowded, too_many
from otel_exporter.decode.columnar import ArrowEngine
from otel_exporter.decode.door import canonical, validate
from otel_exporter.decode.walker import walk
from otel_exporter.telemetry import Metric
from processors.batch import Batch, Signal

__all__ = ["SMALL_BYTES", "ArrowEngine", "Decoder", "canonical", "is_crowded", "too_many", "validate", "walk"]
log = structlog.get_logger(__name__)

#: Smaller batches are walked. A query costs milliseconds before it reads its first span; measured, the routes cost the
#: same somewhere between 150 and 400 kB.
SMALL_BYTES: Final = 256 * 1024


class Decoder:
    """Decodes batches by the cheaper route.

    Args:
        engine: reads traces and logs of ``small_bytes`` and more; metrics are always walked. None: everything is.
        small_bytes: see `SMALL_BYTES`.
    """

    def __init__(self, engine: ArrowEngine | None, small_bytes: int = SMALL_BYTES) -> None:
        self._engine = engine
        self._small_bytes = small_bytes

    def decode(self, signal: Signal, requests: Sequence[bytes], tenant: str) -> Batch:
        """All records of ``requests`` (Export*ServiceRequests as `canonical` gives them), in order.

        Raises:
            Refused: MALFORMED: a request is not well formed after all.
        """
        if self._engine is None or signal is Signal.METRICS or sum(map(len, requests)) < self._small_bytes:
            return walk(signal, requests, tenant)
        try:
            return columnar.decode(self._engine, signal, requests, tenant)
        except Exception as error:
            # upb took these bytes, and ClickHouse did not or cannot now: the other route gives the same batch, slower.
            # The error's text may quote payload, its type cannot.
            log.warning("decoding as columns failed, walking", signal=signal.value, error=type(error).__name__)
            Metric.DECODE_FALLBACKS.add(signal=signal.value)
            return walk(signal, requests, tenant)
