"""OTLP log records made here: spend of others, and rows of our own tables (`processors.told`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from processors.told import PREFIX

Attributes = Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """One log record: what it is, when (nanoseconds since 1970), and its attributes as text."""

    event: str
    at: int
    attributes: Attributes


def row(table: str, at: int, columns: Mapping[str, object]) -> Record:
    """A row of one of our own tables (`processors.told.TABLES`); None is left out, a column is its attribute's name."""
    named = {name if "." in name else PREFIX + name: str(value) for name, value in columns.items() if value is not None}
    return Record(PREFIX + table, at, named)


def request(scope: str, records: Iterable[Record]) -> bytes:
    """The records as one ExportLogsServiceRequest; b'' when there are none."""
    made = [
        LogRecord(
            time_unix_nano=record.at,
            event_name=record.event,
            attributes=[
                KeyValue(key=name, value=AnyValue(string_value=_plain(value)))
                for name, value in sorted(record.attributes.items())
            ],
        )
        for record in records
    ]
    if not made:
        return b""
    sent = ExportLogsServiceRequest()
    part = sent.resource_logs.add().scope_logs.add()
    part.scope.name = scope
    part.log_records.extend(made)
    return bytes(sent.SerializeToString())


def _plain(text: str) -> str:
    """Text that can be sent as UTF-8: JSON can spell half a surrogate pair."""
    return text.encode(errors="replace").decode()
