"""The law of redaction: every family, in every dialect, signal and level, through the real pipeline, is on no disk.

Real exports of every producer get every family's secret at every level, and inside every text of their own. What is on
disk while the spool is full, and after everything is in ClickHouse, is searched byte by byte, decompressed, and asked
for. The same search over the same data without `redact` finds each of them: it can fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from otel_exporter import segment
from otel_exporter.assembly import assembled
from otel_exporter.commit import Request
from otel_exporter.config.tree import ContentSettings, Settings, StoreSettings
from processors.batch import Signal
from processors.families import PERSONAL, SECRETS, Family
from processors.redact import RedactProcessor
from tests.corpus.cases import DATA

LAYOUT: Final = {
    Signal.TRACES: (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    Signal.LOGS: (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    Signal.METRICS: (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
}
#: Short of this a text is found by chance.
_LEAST: Final = 5
_POINTS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def secret_of(family: Family) -> tuple[str, str]:
    """The family's example with the longest secret, and what of it must be found nowhere, also not inside JSON."""
    found = []
    for text, cleaned in family.examples.items():
        before, marker, after = cleaned.partition(family.marker)
        if marker and family.marker not in after:
            secret = text[len(before) : len(text) - len(after)]
            found.append((max(re.split(r"[\n\"'\\]", secret), key=len), text))
    core, text = max(found, key=lambda one: len(one[0]))
    assert len(core) >= _LEAST, family.name
    return text, core


PLANTED: Final = {family.name: secret_of(family) for family in SECRETS}
PERSONS: Final = {family.name: secret_of(family) for family in PERSONAL}
LOOK_ALIKES: Final = tuple(text for family in SECRETS for text in family.leaves)


def _text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def _attributes(level: str) -> list[KeyValue]:
    """Every family once as text, in JSON in JSON, in a list in a map, as bytes, in a name; every look-alike as text."""
    pairs = []
    for number, (text, _) in enumerate(PLANTED.values()):  # no name of a family: some say that all below is secret
        nested = json.dumps({"in": json.dumps({"a": [text]})})
        inner = AnyValue(array_value=ArrayValue(values=[_text(text)]))
        shapes = {
            "text": _text(f"see {text} there"),
            "json": _text(nested),
            "map": AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="m", value=inner)])),
            "bytes": AnyValue(bytes_value=text.encode()),
        }
        pairs += [KeyValue(key=f"note.{level}.{number}.{shape}", value=value) for shape, value in shapes.items()]
        pairs.append(KeyValue(key=f"k {text}", value=_text("x")))
    pairs += [KeyValue(key=f"like.{number}.", value=_text(text)) for number, text in enumerate(LOOK_ALIKES)]
    pairs += [KeyValue(key=f"metadata.{n}", value=_text(f"of {text}")) for n, (text, _) in enumerate(PERSONS.values())]
    return pairs


def _values(message: Any) -> Iterator[AnyValue]:
    """Every AnyValue in a message that holds text."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                if isinstance(one, AnyValue) and one.WhichOneof("value") == "string_value":
                    yield one
                else:
                    yield from _values(one)


def _planted(signal: Signal, body: bytes) -> Iterator[bytes]:
    """The export with secrets in places of their own (it is still recognised), and with one in every text it has."""
    kind, resources, scopes, records = LAYOUT[signal]
    request = kind.FromString(body)
    block = getattr(request, resources)[0]
    scope = getattr(block, scopes)[0]
    record = getattr(scope, records)[0]
    everything = " ".join(text for text, _ in PLANTED.values())
    block.resource.attributes.extend(_attributes("resource"))
    scope.scope.attributes.extend(_attributes("scope"))
    for message in (block, scope):
        message.schema_url = f"https://x.example/?{everything}"
    scope.scope.version = everything
    _plant_record(signal, record, everything)
    yield request.SerializeToString()
    request, secrets = kind.FromString(body), cycle(text for text, _ in PLANTED.values())
    for value in _values(request):
        value.string_value = f"{value.string_value} {next(secrets)}"
    yield request.SerializeToString()


def _plant_record(signal: Signal, record: Any, everything: str) -> None:
    if signal is Signal.TRACES:
        record.attributes.extend(_attributes("span"))
        record.status.message = record.trace_state = everything
        record.events.add(name=f"event {everything}", attributes=_attributes("event"))
        record.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, trace_state=everything, attributes=_attributes("link"))
    elif signal is Signal.LOGS:
        record.attributes.extend(_attributes("log"))
        record.severity_text = everything
        record.body.CopyFrom(_text(everything))
    else:
        record.unit = record.description = everything
        data = next(getattr(record, kind) for kind in _POINTS if record.HasField(kind))
        data.data_points[0].attributes.extend(_attributes("point"))
        if hasattr(data.data_points[0], "exemplars"):
            data.data_points[0].exemplars.add(filtered_attributes=_attributes("exemplar"), as_int=1)


def exports() -> Iterator[tuple[str, Signal, bytes]]:
    """(producer, signal, export): the smallest of each producer and signal that has a record."""
    for producer in sorted(path for path in DATA.iterdir() if path.is_dir()):
        for signal in Signal:
            for file in sorted(producer.glob(f"*.{signal.value}.pb"), key=lambda path: path.stat().st_size):
                body = file.read_bytes()
                if body and getattr(LAYOUT[signal][0].FromString(body), LAYOUT[signal][1]):
                    yield producer.name, signal, body
                    break


@dataclass(frozen=True)
class Found:
    """What there is to search: the spool in plain text, all bytes of the directory, twice, and all tables as text."""

    spool: str
    raw: bytes
    tables: str
    observed: int
    sources: frozenset[str]


def _stored(directory: Path, *, redacted: bool) -> Found:
    """Everything through the real pipeline, content kept."""
    settings = Settings(store=StoreSettings(data_dir=directory), content=ContentSettings(policy="keep"))
    with assembled(settings) as parts:
        if not redacted:
            steps = parts.commit._processors
            parts.commit._processors = [step for step in steps if not isinstance(step, RedactProcessor)]
        for _, signal, body in exports():
            for planted in _planted(signal, body):
                request = Request(signal, "default", planted)
                assert parts.commit.commit([request]) == {request.key: None}
        spool, raw = _in_plain_text(directory / "spool"), _bytes(directory)
        assert parts.writer.drain(600)
        names = parts.store.arrow("SELECT name FROM system.tables WHERE database = 'otel' AND engine NOT LIKE '%View'")
        rows = {name: parts.store.arrow(f"SELECT * FROM otel.`{name}`").to_dicts() for name in names["name"]}
        raw += _bytes(directory)
    sources = frozenset(source for row in rows["genai_ledger"] for source in row["sources"])
    return Found(spool, raw, str(rows).replace("\\\\", "\\"), len(rows["genai_ledger"]), sources)


def _bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def _in_plain_text(spool: Path) -> str:
    """Every byte of every Arrow buffer of the spool, decompressed."""
    texts = []
    for path in spool.rglob(f"*{segment.SUFFIX}"):
        content = path.read_bytes()
        for table in segment.load(path, verify=True).tables.values():
            columns = pa.ipc.open_file(content[table.offset : table.offset + table.length]).read_all().columns
            buffers = (buffer for column in columns for chunk in column.chunks for buffer in chunk.buffers() if buffer)
            texts += [buffer.to_pybytes().decode(errors="replace") for buffer in buffers]
    return "".join(texts)


@pytest.fixture(scope="module")
def redacted(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return _stored(tmp_path_factory.mktemp("redacted"), redacted=True)


@pytest.fixture(scope="module")
def bypassed(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return _stored(tmp_path_factory.mktemp("bypassed"), redacted=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_no_secret_is_anywhere(redacted: Found, name: str) -> None:
    """A family's secret, planted at every level of every signal of every producer's export, is found 0 times."""
    core = PLANTED[name][1]
    for place in (redacted.spool, redacted.tables):
        assert place.count(core) == 0, place[max(0, place.find(core) - 200) : place.find(core) + 40]
    assert redacted.raw.count(core.encode()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PERSONS)
def test_no_personal_data_is_in_metadata(redacted: Found, name: str) -> None:
    """Personal data in free metadata of every level of every producer's export is found 0 times."""
    core = PERSONS[name][1]
    assert redacted.spool.count(core) == redacted.tables.count(core) == redacted.raw.count(core.encode()) == 0


@pytest.mark.slow
def test_the_search_finds_what_redaction_takes(bypassed: Found) -> None:
    """Without `redact`, and nothing else changed, the same search finds every one of them in spool and tables."""
    for name, (_, core) in {**PLANTED, **PERSONS}.items():
        for place in (bypassed.spool, bypassed.tables):
            assert place.count(core) > 0, name
    assert sum(bypassed.raw.count(core.encode()) > 0 for _, core in PLANTED.values()) > len(PLANTED) / 2


@pytest.mark.slow
def test_look_alikes_are_untouched(redacted: Found, bypassed: Found) -> None:
    """Every look-alike is stored as it was sent, as often as without redaction; no call is lost in another.

    An identifier with a secret in it leaves nothing, so what only that identifier joined stays apart.
    """
    for number, text in enumerate(LOOK_ALIKES):
        count = redacted.spool.count(f"like.{number}.")
        assert count == bypassed.spool.count(f"like.{number}.") > 0
        assert redacted.spool.count(text) >= count, text
    assert redacted.observed >= bypassed.observed > 20
    assert redacted.sources == bypassed.sources
    assert len(redacted.sources) >= 8
