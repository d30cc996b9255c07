"""Bytes on disk: a span with and without content, and an agent's conversation, beside the plain Collector columns.

    python -m benchmarks.storage

"Plain" is the same rows with every text where it was sent: the Collector's columns under our indexes and codecs.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from benchmarks.traffic import requests
from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.commit import Decode
from otel_exporter.content_shelf import ContentShelf
from otel_exporter.decode import Decoder
from processors.batch import Signal
from processors.content import ContentProcessor
from processors.land import land

TURNS, AGENTS, WORDS, VOCABULARY = 20, 200, 150, 20_000
_BYTES = (
    "SELECT toInt64(sum(bytes_on_disk)) FROM system.parts WHERE active AND table IN ('otel_traces', 'genai_content')"
)


def main() -> None:
    """Print one line per case."""
    with tempfile.TemporaryDirectory() as directory, Store.embedded(Path(directory)) as store:
        runner.apply(store)
        decode = Decoder(store).decode
        cases = {
            "LiteLLM spans, no content sent": list(requests(40, 512)),
            "LiteLLM spans, 2 KB of distinct content": list(requests(40, 512, content_bytes=2000)),
            f"{AGENTS} agents, {TURNS} turns, history resent": list(_conversations()),
        }
        for name, bodies in cases.items():
            sizes = {
                mode: _stored(store, decode, bodies, mode, Path(directory)) for mode in ("dropped", "plain", "once")
            }
            spans, sent = sizes["plain"][1], sum(map(len, bodies))
            told = ", ".join(f"{mode} {size / spans:,.0f}" for mode, (size, _, _) in sizes.items())
            ratio = sizes["plain"][0] / sizes["once"][0]
            took = f"land {sizes['plain'][2]:.2f} s plain, {sizes['once'][2]:.2f} s once"
            print(f"{name}: {spans:,} spans, sent {sent / spans:,.0f}, on disk {told} bytes a span")
            print(f"    stored once is {ratio:.1f} times smaller than plain; {took}")


def _stored(store: Store, decode: Decode, bodies: list[bytes], mode: str, directory: Path) -> tuple[int, int, float]:
    """Bytes on disk after merging, spans, and seconds spent on landing them."""
    for table in ("otel_traces", "genai_content"):
        store.command(f"TRUNCATE TABLE otel.{table}")
    shelf, drop = ContentShelf(now=lambda: datetime.now(UTC)), ContentProcessor()
    spans, seconds = 0, 0.0
    for number in range(0, len(bodies), 40):
        batch = decode(Signal.TRACES, bodies[number : number + 40], "t")
        batch = drop(batch) if mode == "dropped" else batch
        started = time.perf_counter()
        batch, messages = shelf.put(batch) if mode == "once" else (batch, pl.DataFrame())
        tables = {"otel_traces": land(batch)["otel_traces"], "genai_content": messages}
        seconds += time.perf_counter() - started
        shelf.stored(tables if messages.height else {})
        spans += batch.records.height
        for table, rows in tables.items():
            if rows.height:
                rows.write_ipc(directory / "rows.arrow")
                store.insert_file(table, directory / "rows.arrow", f"{mode}/{table}/{number}")
    for table in ("otel_traces", "genai_content"):
        store.command(f"OPTIMIZE TABLE otel.{table} FINAL")
    return int(store.command(_BYTES)), spans, seconds


def _conversations() -> list[bytes]:
    """Agents that take turns; with each call an agent sends everything said before."""
    dice = random.Random(7)
    words = ["".join(dice.choices("etaoinshrdlu", k=dice.randint(2, 9))) for _ in range(VOCABULARY)]
    said = [[_message(dice, words, turn) for turn in range(2 * TURNS)] for _ in range(AGENTS)]
    now = time.time_ns() - 3_600_000_000_000
    return [
        _call(dice, now + turn * 10**10 + agent, json.dumps(mine[: 2 * turn + 1]), json.dumps([mine[2 * turn + 1]]))
        for turn in range(TURNS)
        for agent, mine in enumerate(said)
    ]


def _message(dice: random.Random, words: list[str], turn: int) -> dict[str, str]:
    return {"role": ("user", "assistant")[turn % 2], "content": " ".join(dice.choices(words, k=WORDS))}


def _call(dice: random.Random, start: int, prompt: str, answer: str) -> bytes:
    export = ExportTraceServiceRequest()
    block = export.resource_spans.add()
    block.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="agent")))
    span = block.scope_spans.add().spans.add(
        trace_id=dice.randbytes(16), span_id=dice.randbytes(8), name="chat", start_time_unix_nano=start
    )
    span.end_time_unix_nano = start + 10**9
    said = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": prompt, "gen_ai.output.messages": answer}
    span.attributes.extend(KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in said.items())
    return export.SerializeToString()


if __name__ == "__main__":
    main()
