"""What lands of a batch in the tables of OpenTelemetry's own columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.decode import Decoder
from processors.batch import Signal
from processors.land import land

_SAID = st.lists(st.tuples(st.sampled_from("abcd"), st.text(alphabet="xyz", max_size=2)), max_size=8)


@given(st.lists(_SAID, min_size=1, max_size=6))
def test_of_a_key_sent_twice_the_first_stays(spans: list[list[tuple[str, str]]]) -> None:
    """Every span has each of its keys once, in the order and with the value in which it came first."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, said in enumerate(spans, start=1):
        span = scope.spans.add(trace_id=bytes(15) + b"\1", span_id=number.to_bytes(8, "big"), name="s")
        for key, value in said:
            span.attributes.add(key=key).value.string_value = value
    batch = Decoder(None).decode(Signal.TRACES, [request.SerializeToString()], "t")
    landed = land(batch, batch)["otel_traces"].sort("SpanId")["SpanAttributes"].to_list()
    expected = [list(dict(reversed(said)).items()) for said in spans]
    assert [sorted(_pairs(each)) for each in landed] == [sorted(pairs) for pairs in expected]


def _pairs(attributes: object) -> list[tuple[str, str]]:
    if isinstance(attributes, dict):
        return list(attributes.items())
    assert isinstance(attributes, list)
    return [(pair["key"], pair["value"]) for pair in attributes]
