"""The process that is killed: spool, writer and the real store, fed line by line.

    python -m tests.crash.child DIRECTORY [--slow]    serve: requests on stdin, answers on stdout
    python -m tests.crash.child DIRECTORY --inspect   print what the store holds, as JSON

A request is a JSON object ``{"id": ..., "spans": [...], "call": ...}``; the answer is ``ack`` once it is durable, else
``retry``. The line ``drain`` stores everything and ends the process. ``--slow`` makes the view take its time, so that a
kill lands between the base table and the view's target.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from datetime import date
from pathlib import Path

import polars as pl

from clickhouse_schema import runner
from clickhouse_schema.rollups import ROLLUPS
from clickhouse_schema.store import Store
from otel_exporter.failpoints import reach
from otel_exporter.failures import RetryLater
from otel_exporter.freeze import Bounds
from otel_exporter.spool import Spool
from otel_exporter.writer import Writer
from processors.contract import LEDGER_SCHEMA
from tests.crash.spans import entries, logs, observations, traces

TENANT = "t"
#: A view whose target adds up, so that rows that reach it twice are seen.
TARGET = """CREATE TABLE IF NOT EXISTS otel.crash_spans (SpanId String, n UInt64) ENGINE = SummingMergeTree
ORDER BY SpanId SETTINGS non_replicated_deduplication_window = 10000"""
VIEW = """CREATE MATERIALIZED VIEW IF NOT EXISTS otel.crash_spans_mv TO otel.crash_spans AS
SELECT SpanId, toUInt64(count()) AS n FROM otel.otel_traces WHERE sleepEachRow({pause}) = 0 GROUP BY SpanId"""
TORN = "SELECT count() FROM otel.otel_traces WHERE SpanId NOT IN (SELECT SpanId FROM otel.crash_spans)"


class Bookkeeper:
    """Posts as the ledger does: what it knows of a call is reversed, and an entry that knows more is written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self, tenant: str, seen: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Reversals and entries of the calls seen; ``observation_ids`` are what an entry knows."""
        calls = seen.group_by(call_key="call_id").agg(new="observation_id")
        known = self._store.ledger_entries(tenant, calls["call_key"].to_list(), None, None)
        live = known.filter(pl.col("sign").sum().over("call_key", "version") == 1, pl.col("sign") == 1)
        reversals = live.with_columns(sign=pl.lit(-1, pl.Int8))
        joined = calls.join(live.select("call_key", "observation_ids"), on="call_key", how="left")
        knows = pl.concat_list(pl.col("new"), pl.col("observation_ids").fill_null([])).list.unique().list.sort()
        fresh = entries(calls.select(observation_id="call_key")).drop("observation_ids", "handles", "version", "tenant")
        fresh = fresh.join(joined.select("call_key", observation_ids=knows), on="call_key").with_columns(
            handles=pl.concat_list("call_key"),
            tenant=pl.lit(tenant),
            version=pl.col("observation_ids").list.join(",").hash(),
        )
        return {"genai_ledger": pl.concat([reversals, fresh.select(LEDGER_SCHEMA.names())])}


class Child:
    """One life."""

    def __init__(self, directory: Path, pause: float) -> None:
        self.store = Store.embedded(directory)
        runner.apply(self.store)
        for statement in (TARGET, VIEW.format(pause=pause)):
            self.store.command(statement)
        self.spool = Spool(directory / "spool", 1 << 30)
        bounds = Bounds(batch_rows=60, file_rows=15)
        self.writer = Writer(self.spool, self.store, Bookkeeper(self.store), bounds=bounds, every=0.02)

    def serve(self) -> None:
        """Answer until stdin ends or everything is to be stored."""
        say(f"ready {self.store.command(TORN)}")
        stop = threading.Event()
        thread = threading.Thread(target=self.writer.run, args=(stop,))
        thread.start()
        for line in sys.stdin:
            if line.strip() == "drain":
                stop.set()
                thread.join()
                say("drained" if self.writer.drain(240) else f"not drained: {self.writer.state}")
                return
            say(self.answer(line.strip()))

    def answer(self, line: str) -> str:
        """Make one request durable."""
        digest = hashlib.blake2b(line.encode(), digest_size=16).digest()
        if not self.spool.seen(TENANT, digest):
            request = json.loads(line)
            seen = observations([request["id"]]).with_columns(call_id=pl.lit(request["call"]))
            spans = request["spans"]
            tables = {"otel_traces": traces(spans), "otel_logs": logs(spans), "observations": seen}
            try:
                self.spool.append(tables, TENANT, [digest])
            except RetryLater:
                return "retry"
        reach("before-ack")
        return "ack"


def inspect(store: Store) -> dict[str, object]:
    """What the store holds: how often each span and log record, and what the ledger knows of each call."""

    def counts(sql: str) -> dict[str, int]:
        return dict(store.arrow(f"SELECT k, toInt64(n) AS n FROM ({sql})").iter_rows())

    ledger = """SELECT call_key, toInt64(sum(signs)) AS balance, groupArrayIf(knows, signs = 1)[1] AS live
    FROM (SELECT call_key, version, any(observation_ids) AS knows, sum(sign) AS signs
          FROM otel.genai_ledger GROUP BY call_key, version) GROUP BY call_key"""
    return {
        "spans": counts("SELECT SpanId AS k, count() AS n FROM otel.otel_traces GROUP BY k"),
        "logs": counts("SELECT SpanId AS k, count() AS n FROM otel.otel_logs GROUP BY k"),
        "view": counts("SELECT SpanId AS k, sum(n) AS n FROM otel.crash_spans GROUP BY k"),
        "rollups": [
            rollup.name for rollup in ROLLUPS if store.arrow(rollup.wrong_days(), {"since": date(1970, 1, 1)}).height
        ],
        "ledger": {key: (signs, list(ids)) for key, signs, ids in store.arrow(ledger).iter_rows()},
    }


def say(line: str) -> None:
    """One line to the parent."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve or inspect."""
    directory, options = Path(sys.argv[1]), sys.argv[2:]
    if "--inspect" in options:
        with Store.embedded(directory) as store:
            say(json.dumps(inspect(store)))
    else:
        Child(directory, pause=0.01 if "--slow" in options else 0).serve()


if __name__ == "__main__":
    main()
