"""The views that put messages back."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from polars.testing import assert_frame_equal

from clickhouse_schema.store import Store
from otel_exporter.decode import Decoder
from processors.batch import Signal
from processors.land import land
from processors.messages import Messages
from tests.unit.clickhouse_schema.conftest import Put
from tests.unit.clickhouse_schema.rows import NOW
from tests.unit.processors.conversations import calls, request

MESSAGES, DECODE = Messages(), Decoder(None).decode
TRACE = b"t".hex() * 16
#: Braces, quotes, backslashes and line breaks, in and out of JSON.
AWKWARD = 'a {b} "c" \\ {0123456789abcdef0123456789abcdef}\n\n; DROP TABLE x -- ' + "é" * 60
SPANS = f"SELECT * FROM otel.otel_traces_with_content(trace_id = '{TRACE}') ORDER BY SpanId"
LOGS = "SELECT * FROM otel.otel_logs_with_content(since = '2020-01-01 00:00:00', until = '2100-01-01 00:00:00')"


def test_a_trace_reads_as_if_nothing_had_moved(store: Store, put: Put) -> None:
    """The view gives the very rows that would have been stored; without the messages, the references."""
    awkward = request({"gen_ai.prompt": AWKWARD, "gen_ai.completion": f'["{"x" * 70}", "{{" , "{"y" * 70}"]'}, 99_999)
    batch = DECODE(Signal.TRACES, [*calls(5), awkward], "t")
    referring, rows = MESSAGES(batch, datetime.now(UTC))
    put("otel_traces", land(referring)["otel_traces"])
    assert_frame_equal(store.arrow(SPANS), land(referring)["otel_traces"].sort("SpanId"))
    put("genai_content", rows)
    assert_frame_equal(store.arrow(SPANS), land(batch)["otel_traces"].sort("SpanId"))


def test_log_records_read_as_if_nothing_had_moved(store: Store, put: Put) -> None:
    """Bodies and attributes of log records are put back."""
    export = ExportLogsServiceRequest()
    record = export.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=NOW)
    record.event_name = "gen_ai.user.message"
    record.body.string_value = AWKWARD
    record.attributes.append(KeyValue(key="content", value=AnyValue(string_value=AWKWARD * 2)))
    batch = DECODE(Signal.LOGS, [export.SerializeToString()], "t")
    referring, rows = MESSAGES(batch, datetime.now(UTC))
    assert rows.height == 2
    put("otel_logs", land(referring)["otel_logs"])
    put("genai_content", rows)
    assert store.arrow("SELECT Body FROM otel.otel_logs")["Body"].str.starts_with("once:").all()
    assert_frame_equal(store.arrow(LOGS), land(batch)["otel_logs"])


def test_a_message_written_again_is_one_row(store: Store, put: Put) -> None:
    """Merges keep the newest of the rows of one message, and its text is there at every moment."""
    _, rows = MESSAGES(DECODE(Signal.TRACES, calls(3), "t"), datetime.now(UTC))
    for seconds in range(3):
        put("genai_content", rows.with_columns(pl.col("last_seen") + pl.duration(milliseconds=seconds)))
    store.command("OPTIMIZE TABLE otel.genai_content FINAL")
    assert_frame_equal(
        store.arrow("SELECT * FROM otel.genai_content ORDER BY hash"),
        rows.with_columns(pl.col("last_seen") + pl.duration(milliseconds=2)).sort("hash"),
    )
