"""OTLP bytes become columns: `validate` at the door, `Decoder.decode` once per batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from otel_exporter.decode import columnar, walk
from otel_exporter.decode.columnar import ArrowEngine
from otel_exporter.decode.door import validate
from otel_exporter.telemetry import Metric
from processors.batch import Batch, Signal

__all__ = ["ArrowEngine", "Decoder", "validate"]
log = structlog.get_logger(__name__)

#: Batches below this many bytes are walked: a query costs some milliseconds before it reads its first span.
SMALL_BYTES: Final = 200_000


class Decoder:
    """Decodes batches: with the columns of ``engine`` when that pays, else message by message.

    One thread at a time may call a decoder; others may use other handles of the same engine meanwhile.
    """

    def __init__(self, engine: ArrowEngine | None, small_bytes: int = SMALL_BYTES) -> None:
        self._engine = engine
        self._small_bytes = small_bytes

    def decode(self, signal: Signal, requests: Sequence[bytes], tenant: str) -> Batch:
        """All records of ``requests`` (each passed `validate`), in order, as one batch.

        Raises:
            Refused: MALFORMED: a request is not well formed after all.
        """
        if self._engine is None or signal is Signal.METRICS or sum(map(len, requests)) < self._small_bytes:
            return walk.decode(signal, requests, tenant)
        try:
            return columnar.decode(self._engine, signal, requests, tenant)
        except Exception as error:
            # upb took these bytes and ClickHouse did not (or cannot, now): slower, but the data is right.
            # The error's text may quote payload, its type cannot.
            log.warning(
                "columnar decoding failed, reading message by message", signal=signal.value, error=type(error).__name__
            )
            Metric.DECODE_FALLBACKS.add(signal=signal.value)
            return walk.decode(signal, requests, tenant)
