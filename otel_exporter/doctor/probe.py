"""A span of our own through the whole path: sent like anybody's, then waited for until a question finds it.

It says nothing about any model, so no call is counted.
"""

from __future__ import annotations

import http.client
import os
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.asking import Ask, table
from otel_exporter.doctor.facts import PROBE_SERVICE
from otel_exporter.failures import RetryLater
from otel_exporter.runfile import Running

SPAN_NAME: Final = "doctor probe"
PATIENCE: Final = 30.0  # seconds until the probe must be queryable
_PAUSE: Final = 0.05
_TIMEOUT: Final = 10.0
_FOUND: Final = f"""SELECT count() FROM otel_traces WHERE ServiceName = '{PROBE_SERVICE}' AND SpanName = '{SPAN_NAME}'
    AND TraceId = {{trace:String}}"""


@dataclass(frozen=True)
class Probe:
    """What became of the probe.

    Attributes:
        trace_id: under which it can be found; '' when none was sent.
        acknowledged_ms: from sending to the service's OK; None when there was none.
        queryable_ms: from sending until a question found it; None when it did not in time.
        problem: what went wrong, '' when nothing did.
    """

    trace_id: str = ""
    acknowledged_ms: float | None = None
    queryable_ms: float | None = None
    problem: str = ""

    @property
    def is_well(self) -> bool:
        """Whether the whole path works, as far as it was tried."""
        return not self.problem

    @property
    def sentence(self) -> str:
        """For people."""
        if self.problem:
            return self.problem
        if not self.trace_id:
            return "no serve is running on this data directory: nothing was sent, stored data are examined"
        return (
            f"a probe span was acknowledged after {self.acknowledged_ms:.0f} ms"
            f" and queryable after {self.queryable_ms:.0f} ms"
        )


def send_probe(running: Running, ask: Ask, patience: float = PATIENCE) -> Probe:
    """Send a span to a running `serve` and wait until ``ask`` finds it."""
    trace_id, begun = os.urandom(16), time.monotonic()
    try:
        refusal = _export(running, _request(trace_id))
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return Probe(problem=f"the running serve cannot be reached at {running.local_http}: {why}")
    if refusal:
        return Probe(problem=f"the running serve did not take a probe span: {refusal}")
    acknowledged = _since(begun)
    found = _await(ask, trace_id.hex(), begun, patience)
    problem = "" if found is not None else _explain(running, patience)
    return Probe(trace_id.hex(), acknowledged, found, problem)


def _request(trace_id: bytes) -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add()
    spans.resource.attributes.add(key="service.name").value.string_value = PROBE_SERVICE
    scope = spans.scope_spans.add()
    scope.scope.name = "tokentide.doctor"
    now = time.time_ns()
    scope.spans.add(
        trace_id=trace_id, span_id=os.urandom(8), name=SPAN_NAME, start_time_unix_nano=now, end_time_unix_nano=now
    )
    return bytes(request.SerializeToString())


def _export(running: Running, body: bytes) -> str:
    """Send ``body``; why it was not taken, '' when it was."""
    headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {running.token}"}
    with closing(http.client.HTTPConnection(running.local_http, timeout=_TIMEOUT)) as connection:
        connection.request("POST", "/v1/traces", body, headers)
        response = connection.getresponse()
        response.read()
    return "" if response.status < 300 else f"HTTP {response.status}{_readiness(running)}"


def _await(ask: Ask, trace_id: str, begun: float, patience: float) -> float | None:
    while time.monotonic() - begun < patience:
        if _is_there(ask, trace_id):
            return _since(begun)
        time.sleep(_PAUSE)
    return None


def _is_there(ask: Ask, trace_id: str) -> bool:
    try:
        return bool(table(ask, _FOUND, {"trace": trace_id}).rows[0][0])
    except RetryLater:
        return False


def _explain(running: Running, patience: float) -> str:
    why = _readiness(running) or "; the writer says it works, so look at its log"
    return f"a probe span was acknowledged and is not queryable after {patience:.0f} s{why}"


def _readiness(running: Running) -> str:
    """What `/readyz` complains about."""
    try:
        with closing(http.client.HTTPConnection(running.local_health, timeout=_TIMEOUT)) as connection:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            text = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return "; its health address does not answer"
    return "" if response.status == 200 else f"; it says: {text}"


def _since(begun: float) -> float:
    return (time.monotonic() - begun) * 1e3
