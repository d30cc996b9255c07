"""Bad requests to the real service: the right status, a sentence, and no harm to anybody else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.e2e.everything import NOW
from tests.e2e.house import PROTOBUF, House, serving

pytestmark = pytest.mark.e2e
TOKEN = "let-me-in-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = "application/json"
LIMITS = {"TOKENTIDE_INGEST__MAX_BODY_BYTES": "100KiB", "TOKENTIDE_INGEST__MAX_DECOMPRESSED_BYTES": "1MiB"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A serve with a token and small bounds."""
    data_dir = tmp_path_factory.mktemp("neighbours") / "data"
    with serving(data_dir, TOKENTIDE_INGEST__TOKEN=TOKEN, TOKENTIDE_INGEST__TENANT="acme", **LIMITS) as house:
        yield house


def good(number: int, padding: int = 0) -> ExportTraceServiceRequest:
    """A request of one span."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name=f"good {number}", start_time_unix_nano=NOW)
    span.trace_id, span.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
    span.attributes.add(key="padding").value.string_value = "x" * padding
    return request


#: Why, status, body, media type, headers.
BAD = {
    "no protobuf": (400, b"\xff\xff\xff not protobuf", PROTOBUF, {}),
    "cut protobuf": (400, good(1).SerializeToString()[:-3], PROTOBUF, {}),
    "no JSON": (400, b'{"resourceSpans": [', JSON, {}),
    "JSON of something else": (400, b'{"resourceSpans": "surprise"}', JSON, {}),
    "id that is no hex": (400, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}', JSON, {}),
    "no gzip": (400, b"plain", PROTOBUF, {"Content-Encoding": "gzip"}),
    "unknown media type": (415, b"x", "text/plain", {}),
    "too large": (413, good(1, padding=200_000).SerializeToString(), PROTOBUF, {}),
    "bomb": (413, gzip.compress(bytes(64 << 20)), PROTOBUF, {"Content-Encoding": "gzip"}),
}


def test_bad_requests_harm_nobody(house: House) -> None:
    """Each bad request gets its status and a sentence, while every good one that is sent beside it is stored once."""

    def send_bad(why: str) -> tuple[str, int, bytes]:
        _, body, media, headers = BAD[why]
        return why, *house.post("/v1/traces", body, media, **BEARER, **headers)

    def send_good(number: int) -> int:
        return house.post("/v1/traces", good(number).SerializeToString(), **BEARER)[0]

    with ThreadPoolExecutor(16) as pool:
        goods = [pool.submit(send_good, number) for number in range(1, 101)]
        bads = [pool.submit(send_bad, why) for why in list(BAD) * 3]
        answers = [bad.result() for bad in bads]
        assert {sent.result() for sent in goods} == {200}
    for why, status, answer in answers:
        assert status == BAD[why][0], (why, answer)
        is_protobuf = BAD[why][2] == PROTOBUF
        sentence = Status.FromString(answer).message if is_protobuf else json.loads(answer)["message"]
        assert len(sentence.split()) > 3 and "Traceback" not in sentence, (why, sentence)
    names = "SELECT SpanName, count() AS n FROM otel_traces GROUP BY SpanName"
    rows = house.wait_for(names, lambda rows: len(rows) >= 100)
    assert {row["SpanName"]: row["n"] for row in rows} == {f"good {number}": 1 for number in range(1, 101)}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"x-api-key": TOKEN[:-1]}], ids=str)
def test_nobody_enters_without_the_token(house: House, headers: dict[str, str]) -> None:
    """Without the token, or with a wrong one, HTTP answers 401 and gRPC UNAUTHENTICATED, and nothing is stored."""
    request = good(10_000)
    status, _ = house.post("/v1/traces", request.SerializeToString(), **headers)
    assert status == 401
    with grpc.insecure_channel(house.addresses["grpc"]) as channel, pytest.raises(grpc.RpcError) as refused:
        TraceServiceStub(channel).Export(request, timeout=60, metadata=[(k.lower(), v) for k, v in headers.items()])
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    house.send("/v1/traces", good(10_001).SerializeToString(), x_api_key=TOKEN)
    house.wait_for("SELECT 1 FROM otel_traces WHERE SpanName = 'good 10001'")
    assert house.ask("SELECT 1 FROM otel_traces WHERE SpanName = 'good 10000'") == []


def test_only_one_serve_owns_a_directory(house: House, tmp_path: Path) -> None:
    """A second serve on the same directory says who owns it and fails; the first one does not notice."""
    second = House(house.data_dir)
    assert second.process.wait(60) == 1
    assert f"already running on {house.data_dir} (process {house.process.pid})\n" in second.log.read_text()
    assert house.get("/healthz")[0] == 200
