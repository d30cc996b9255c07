"""`sample`: of the spans that have nothing to do with an LLM call, a share of the traces.

The last 56 bits of the trace id decide, as in OpenTelemetry's consistent probability sampling: every span of a trace
meets the same fate in every batch and every process, and a smaller share keeps a subset of what a larger one keeps.
Spans that are observed as calls, or that carry anything of GenAI themselves or on an event, always stay; so the GenAI
part of a trace is whole. Whether *another* span of a trace is such a one cannot be seen here: the rest of the trace may
have come before, or may still come. (A Collector in front can wait for it: docs/collector.md.)
"""

from __future__ import annotations

from typing import ClassVar, Final

import polars as pl

from processors.batch import Batch, Signal
from processors.content_names import CONTENT_EVENTS, GENAI_EVENTS, named
from processors.recognise import genai_kinds, genai_records
from processors.subset import observed, subset

_DIGITS: Final = 14  # 56 bits
_SPAN_FRAMES: Final = ("records", "events", "links", "exemplars", "attributes")


class Sample:
    """Keeps a share of the traces, and all spans of GenAI.

    Args:
        share: from 0 (only GenAI) to 1 (everything).

    Raises:
        ValueError: a share beyond these.
    """

    reads: ClassVar[frozenset[str]] = frozenset(
        {f"{frame}.*" for frame in _SPAN_FRAMES}
        | {"scopes.scope", "scopes.name"}
        | {f"observations.{name}" for name in ("trace_id", "span_id", "started_at")}
    )
    writes: ClassVar[frozenset[str]] = frozenset(f"{frame}.*" for frame in _SPAN_FRAMES)

    def __init__(self, share: float = 1.0) -> None:
        if not 0 <= share <= 1:
            raise ValueError("a share is a number from 0 to 1")
        self._least = f"{round((1 - share) * 16**_DIGITS):0{_DIGITS}x}"
        self._everything = share == 1
        self._genai = genai_kinds()

    def __call__(self, batch: Batch) -> Batch:
        """The batch without the spans that are not sampled."""
        if self._everything or batch.signal is not Signal.TRACES or batch.records.is_empty():
            return batch
        lucky = batch.records.select(_sampled(self._least)).to_series()
        return batch if lucky.all() else subset(batch, lucky | self._of_genai(batch))

    def _of_genai(self, batch: Batch) -> pl.Series:
        """One boolean per span: it is about an LLM call."""
        on_events = batch.attributes.filter(pl.col("level") == "event")
        marked = on_events.filter(pl.col("key").is_in(self._genai(on_events["key"])["genai"]))["owner"].unique()
        telling = named("name", GENAI_EVENTS) | named("name", CONTENT_EVENTS)
        events = batch.events.filter(telling | pl.col("event").is_in(marked.implode()))["record"]
        told = pl.concat([events, observed(batch)["record"]]).unique()
        return genai_records(batch, self._genai) | batch.records["record"].is_in(told.implode())


def _sampled(least: str) -> pl.Expr:
    """Hexadecimal texts of one length are in the order of their numbers. What has no trace id stays."""
    nobody = len(least) > _DIGITS  # a share of 0
    chosen = pl.lit(False) if nobody else pl.col("trace_id").str.slice(-_DIGITS) >= least
    return chosen | (pl.col("trace_id").str.len_bytes() < _DIGITS) | pl.col("trace_id").is_null()
