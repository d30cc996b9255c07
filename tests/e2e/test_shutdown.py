"""SIGTERM in the middle of everything."""

from __future__ import annotations

import threading
import time
from http.client import HTTPException
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.e2e.everything import NOW
from tests.e2e.house import House, asked, serving

pytestmark = pytest.mark.e2e
SPANS = 20


def request(name: str) -> ExportTraceServiceRequest:
    """A request of `SPANS` spans."""
    message = ExportTraceServiceRequest()
    inside = message.resource_spans.add().scope_spans.add()
    for number in range(SPANS):
        span_id = (number + 1).to_bytes(8, "big")
        inside.spans.add(name=name, trace_id=b"\1" * 16, span_id=span_id, start_time_unix_nano=NOW)
    return message


class Sender(threading.Thread):
    """Sends until the service is gone, and remembers what was acknowledged."""

    def __init__(self, house: House, name: str) -> None:
        super().__init__(name=name)
        self._house = house
        self.sent: list[str] = []
        self.acknowledged: list[str] = []

    def run(self) -> None:
        """Send."""
        try:
            while True:
                name = f"{self.name}.{len(self.sent)}"
                self.sent.append(name)
                if self.is_stored(name):
                    self.acknowledged.append(name)
        except (OSError, HTTPException):
            return  # it is gone

    def is_stored(self, name: str) -> bool:
        """Whether the request was acknowledged."""
        return self._house.post("/v1/traces", request(name).SerializeToString())[0] == 200


class GrpcSender(Sender):
    """Over gRPC."""

    def is_stored(self, name: str) -> bool:
        """Whether the request was acknowledged."""
        with grpc.insecure_channel(self._house.addresses["grpc"]) as channel:
            try:
                TraceServiceStub(channel).Export(request(name), timeout=30)
            except grpc.RpcError as error:
                raise ConnectionError from error
        return True


def test_sigterm_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A serve that is told to stop under load ends with 0, and what it acknowledged is in ClickHouse exactly once."""
    with serving(tmp_path / "data") as house:
        senders = [Sender(house, f"http{n}") for n in range(3)] + [GrpcSender(house, f"grpc{n}") for n in range(3)]
        for sender in senders:
            sender.start()
        time.sleep(1.5)
        house.stop()
        for sender in senders:
            sender.join(120)
            assert not sender.is_alive()
    rows = asked(tmp_path / "data", "SELECT SpanName, count() AS n FROM otel_traces GROUP BY SpanName")
    stored = {row["SpanName"]: row["n"] for row in rows}
    acknowledged = {name for sender in senders for name in sender.acknowledged}
    assert len(acknowledged) > 20, "hardly anything was under way"
    assert {name: stored.get(name) for name in acknowledged} == dict.fromkeys(acknowledged, SPANS)
    assert set(stored) <= {name for sender in senders for name in sender.sent}
    assert set(stored.values()) == {SPANS}, "a request is stored as a whole, once"
    assert not list((tmp_path / "data" / "spool" / "segments").iterdir()), "not everything has left the spool"
