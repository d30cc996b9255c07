"""The process that is killed while it stores messages and what adds up: everything between the doors and the store.

    python -m tests.crash.keeper DIRECTORY PAUSE [FILE...]

Commits the files (OTLP traces), says ``committed``, stores everything, and prints what the store holds as JSON. With a
PAUSE (seconds a row) a view of the ledger takes its time, so that a kill lands between the ledger and its rollups. At
first it says how it found them: ``ready torn`` or ``ready whole``.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

from clickhouse_schema.rollups import ROLLUPS
from clickhouse_schema.store import Store
from otel_exporter.assembly import assembled
from otel_exporter.commit import Request
from otel_exporter.config.tree import ContentSettings, Settings, StoreSettings
from processors.batch import Signal
from tests.crash.child import say

TARGET = """CREATE TABLE IF NOT EXISTS otel.crash_entries (call_key String, n Int64) ENGINE = SummingMergeTree
ORDER BY call_key SETTINGS non_replicated_deduplication_window = 10000"""
VIEW = """CREATE MATERIALIZED VIEW IF NOT EXISTS otel.crash_entries_mv TO otel.crash_entries AS
SELECT call_key, toInt64(sum(sign)) AS n FROM otel.genai_ledger WHERE sleepEachRow({pause}) = 0 GROUP BY call_key"""
#: Merges would hide a message that was stored twice.
STILL = "SYSTEM STOP MERGES otel.genai_content"


def inspect(store: Store) -> dict[str, object]:
    """What the store holds: spans, messages, dollars in the ledger and in each rollup."""

    def row(sql: str) -> list[str]:
        return [str(value) for value in store.arrow(sql).row(0)]

    return {
        "spans": row("SELECT count(), uniqExact(TraceId, SpanId) FROM otel.otel_traces"),
        "messages": row("SELECT count(), uniqExact(hash), sum(cityHash64(text)) FROM otel.genai_content"),
        "ledger": row("SELECT sum(sign), sum(cost_usd * sign), sum(output_tokens * sign) FROM otel.genai_ledger"),
        "view": row("SELECT sum(n), uniqExact(call_key) FROM otel.crash_entries"),
        "rollups": {
            rollup.name: row(f"SELECT sum(calls), sum(cost_usd), sum(output_tokens) FROM {rollup.table}")
            for rollup in ROLLUPS
        },
        "wrong": [
            rollup.name for rollup in ROLLUPS if store.arrow(rollup.wrong_days(), {"since": date(1970, 1, 1)}).height
        ],
    }


def torn(store: Store) -> bool:
    """Whether the ledger has entries that its view's target has not."""
    sql = "SELECT 1 FROM otel.genai_ledger WHERE call_key NOT IN (SELECT call_key FROM otel.crash_entries) LIMIT 1"
    return bool(store.arrow(sql).height)


def main() -> None:
    """One life."""
    directory, pause, files = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    settings = Settings(store=StoreSettings(data_dir=directory), content=ContentSettings(policy="keep"))
    with assembled(settings) as parts:
        for statement in (STILL, TARGET, VIEW.format(pause=pause)):
            parts.store.command(statement)
        say(f"ready {'torn' if torn(parts.store) else 'whole'}")
        requests = [Request(Signal.TRACES, "t", Path(file).read_bytes()) for file in files]
        new = [one for one in requests if not parts.spool.seen(one.tenant, one.digest)]  # as the pipeline does
        assert not any(parts.commit.commit(new).values())
        say("committed")
        assert parts.writer.drain(120), parts.writer.state
        say(json.dumps(inspect(parts.store)))


if __name__ == "__main__":
    main()
