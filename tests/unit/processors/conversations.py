"""An agent that sends its whole history with every call, as OTLP."""

from __future__ import annotations

import json
import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.unit.clickhouse_schema.rows import NOW

_WORDS = ("ledger", "token", "model", "budget", "cache", "prompt", "answer", "gateway", "series", "season", "query")


def history(turns: int, *, words: int = 150, seed: int = 1) -> list[dict[str, str]]:
    """Messages of user and assistant, by turns."""
    dice = random.Random(seed)
    return [
        {"role": ("user", "assistant")[turn % 2], "content": " ".join(dice.choices(_WORDS, k=words)) + f" {turn}"}
        for turn in range(turns)
    ]


def calls(turns: int, *, words: int = 150, seed: int = 1) -> list[bytes]:
    """One request per turn, each with everything said before."""
    said = history(2 * turns, words=words, seed=seed)
    return [
        request(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.input.messages": json.dumps(said[: 2 * turn + 1]),
                "gen_ai.output.messages": json.dumps(said[2 * turn + 1 : 2 * turn + 2]),
            },
            seed * 1000 + turn,
        )
        for turn in range(turns)
    ]


def request(attributes: dict[str, str], number: int = 1) -> bytes:
    """One span with these attributes."""
    export = ExportTraceServiceRequest()
    scope = export.resource_spans.add().scope_spans.add()
    span = scope.spans.add(
        trace_id=b"t" * 16,
        span_id=number.to_bytes(8, "big"),
        name="chat",
        start_time_unix_nano=NOW + number,
        end_time_unix_nano=NOW + number + 1,
    )
    said = [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()]
    span.attributes.extend(said)
    return export.SerializeToString()
