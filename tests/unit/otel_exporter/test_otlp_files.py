"""Reading OTLP files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.failures import Refused
from otel_exporter.otlp_files import find, read
from processors.batch import Signal

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def traces(name: str = "call") -> bytes:
    """A request with one span."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID), name
    span.start_time_unix_nano = 2**63
    return request.SerializeToString()


def logs() -> bytes:
    """A request with one log record."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=5, event_name="x")
    return request.SerializeToString()


def metrics() -> bytes:
    """A request with one point."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="s")
    metric.gauge.data_points.add(as_int=1)
    return request.SerializeToString()


def as_json(name: str = "call") -> dict[str, object]:
    """The same span as OTLP JSON: ids in hex."""
    document: dict[str, object] = MessageToDict(ExportTraceServiceRequest.FromString(traces(name)))
    text = json.dumps(document)
    span = ExportTraceServiceRequest.FromString(traces(name)).resource_spans[0].scope_spans[0].spans[0]
    for field, ours in (("traceId", TRACE_ID), ("spanId", SPAN_ID)):
        text = text.replace(MessageToDict(span)[field], ours)
    loaded: dict[str, object] = json.loads(text)
    return loaded


@pytest.mark.parametrize(("signal", "body"), [("traces", traces()), ("logs", logs()), ("metrics", metrics())])
@pytest.mark.parametrize("named", [True, False])
def test_protobuf(tmp_path: Path, signal: str, body: bytes, named: bool) -> None:
    """The signal comes from the name; without one, from the only request the bytes fit without a foreign field."""
    file = tmp_path / (f"case.{signal}.pb" if named else "case.pb")
    file.write_bytes(body)
    assert list(read(file)) == [(Signal(signal), body)]


@pytest.mark.parametrize("name", ["x.traces.pb", "x.pb"])
def test_not_otlp(tmp_path: Path, name: str) -> None:
    """Bytes that are no OTLP are refused by the file's name."""
    file = tmp_path / name
    file.write_bytes(b"\xff\xff\xff not protobuf")
    with pytest.raises(Refused, match=name):
        list(read(file))


def test_json_lines(tmp_path: Path) -> None:
    """Every line of a JSON-lines file is a request, whatever its signal; empty lines are nothing."""
    file = tmp_path / "export.jsonl"
    log = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "5", "eventName": "x"}]}]}]}
    file.write_text("\n".join([json.dumps(as_json("a")), "", json.dumps(log), json.dumps(as_json("b"))]))
    assert list(read(file)) == [
        (Signal.TRACES, traces("a")),
        (Signal.LOGS, logs()),
        (Signal.TRACES, traces("b")),
    ]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_one_document(tmp_path: Path, indent: int | None, packed: bool) -> None:
    """One document, on one line or many, plain or gzip, is one request; ids are hex and 64-bit integers exact."""
    text = json.dumps(as_json(), indent=indent).encode()
    file = tmp_path / ("one.json.gz" if packed else "one.json")
    file.write_bytes(gzip.compress(text) if packed else b"\n " * (indent or 0) + text)
    assert list(read(file)) == [(Signal.TRACES, traces())]


def test_an_array_of_requests(tmp_path: Path) -> None:
    """A JSON array holds several requests."""
    file = tmp_path / "many.json"
    file.write_text(json.dumps([as_json("a"), as_json("b")]))
    assert list(read(file)) == [(Signal.TRACES, traces("a")), (Signal.TRACES, traces("b"))]


@pytest.mark.parametrize("line", ["{broken", '{"resource": 1}', "[[1]]", "5", '{"resourceSpans": 5}'])
def test_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    """A line that is no OTLP is refused with file and line; what came before was delivered."""
    file = tmp_path / "export.jsonl"
    file.write_text(f"{json.dumps(as_json())}\n{line}\n")
    requests = read(file)
    assert next(requests)[0] is Signal.TRACES
    with pytest.raises(Refused, match=r"export\.jsonl:2"):
        next(requests)


def test_directories(tmp_path: Path) -> None:
    """A directory stands for the OTLP files below it, sorted; one without any, and a missing path, are refused."""
    for name in ("b/x.traces.pb", "a.jsonl.gz", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find([tmp_path])] == ["a.jsonl.gz", "x.traces.pb"]
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(Refused, match=path.name):
            find([path])


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    """A file of no bytes holds no requests and is no mistake."""
    (tmp_path / "x.traces.pb").touch()
    assert list(read(tmp_path / "x.traces.pb")) == []
