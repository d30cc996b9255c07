"""Log records for tests: plain dicts become OTLP bytes, and those a batch, by the real decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel_exporter.decode import Decoder
from processors.batch import Batch, Signal
from processors.normalise import Normalise
from tests.unit.processors.spans import SECOND, START, _pairs

_DECODE = Decoder(None)
_NORMALISE = Normalise()


def logs(*records: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> Batch:
    """A batch of log records. Keys: attributes, name (of the event), body, scope, trace, span, time (seconds)."""
    request = ExportLogsServiceRequest()
    part = request.resource_logs.add()
    part.resource.attributes.extend(_pairs(resource or {}))
    for about in records:
        scope = part.scope_logs.add()
        scope.scope.name = about.get("scope", "")
        record = scope.log_records.add(
            time_unix_nano=START + int(about.get("time", 1) * SECOND),
            event_name=about.get("name", ""),
            trace_id=bytes.fromhex(about.get("trace", "")),
            span_id=about["span"].to_bytes(8, "big") if "span" in about else b"",
            attributes=_pairs(about.get("attributes", {})),
        )
        record.body.string_value = about.get("body", "")
    return _DECODE.decode(Signal.LOGS, [request.SerializeToString()], "t")


def heard(*records: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The observations of these records."""
    return _NORMALISE(logs(*records, resource=resource)).observations.to_dicts()
