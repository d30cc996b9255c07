"""What `serve` prints for a newcomer: waiting -> who speaks -> the first calls priced -> what does not arrive."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Final

import polars as pl

from otel_exporter.assembly import Watcher
from otel_exporter.commit import Tables
from processors.land import OBSERVATIONS

#: Column of a call, what a newcomer misses, and what makes it arrive (docs/clients has the details).
_WISHES: Final = (
    ("team", "team arrives", "OTEL_RESOURCE_ATTRIBUTES=team=<name>, or give the gateway key a team"),
    ("tags", "tags arrive", "a LiteLLM proxy with LITELLM_OTEL_BAGGAGE_METADATA_KEYS=requester_metadata.<key>"),
    ("session_id", "session arrives", "gen_ai.conversation.id on the span, or session_id in the request's metadata"),
)


class Checklist(Watcher):
    """Prints a line the first time something happens; silent afterwards. Called from the commit and writer threads."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._told: set[str] = set()
        self._records = 0
        self._lock = threading.Lock()

    def waiting(self, addresses: Mapping[str, str], scheme: str = "http", asking: str = "http") -> None:
        """The service listens and nothing has come yet. The schemes are those of OTLP/HTTP and of ClickHouse's."""
        self._say(
            f"waiting for spans on {scheme}://{addresses['http']} (OTLP/HTTP) and {addresses['grpc']} (OTLP/gRPC)"
        )
        if "clickhouse" in addresses:
            self._say(f"ask in SQL: curl {asking}://{addresses['clickhouse']} -d 'SELECT count() FROM genai_calls'")

    def committed(self, tenant: str, tables: Tables) -> None:
        """Name each producer when it first speaks."""
        self._records += sum(tables[name].height for name in ("otel_traces", "otel_logs") if name in tables)
        if OBSERVATIONS not in tables:
            if self._records:  # metrics are neither
                self._once("records", f"{self._records} spans or log records arrived; none describes an LLM call yet")
            return
        for source in tables[OBSERVATIONS]["source"].unique().sort():
            self._once(source, f"{source} found")

    def posted(self, entries: pl.DataFrame) -> None:
        """Show the first calls and their price, and what they do not say."""
        calls = entries.filter(pl.col("sign") > 0)
        if calls.is_empty():
            return
        known = calls["cost_usd"].drop_nulls()
        cost = f"${known.sum():f}".rstrip("0").rstrip(".") if len(known) else "no price yet"
        self._once("calls", f"{self._records} spans or log records = {_many(calls.height, 'call')} = {cost}")
        for column, name, mend in _WISHES:
            said = pl.col(column).list.len() > 0 if calls.schema[column] == pl.List(pl.String) else pl.col(column) != ""
            if not calls.select(said.any()).item():
                self._once(f"no {name}", f"no {name}; what brings it: {mend}")

    def _once(self, what: str, line: str) -> None:
        with self._lock:
            if what in self._told:
                return
            self._told.add(what)
        self._say(line)

    def _say(self, line: str) -> None:
        if not self._quiet:
            sys.stderr.write(f"-> {line}\n")
            sys.stderr.flush()


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
