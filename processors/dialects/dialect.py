"""What a dialect is: how one producer's telemetry is recognised, and which of its words mean our columns.

A dialect is data: Polars expressions over the *sheet* (`processors.dialects.sheet`), a wide frame with one row per span
or log record and one text column per name used in any expression:

=============================  ==========================================================================
``gen_ai.request.model``       an attribute of the record, as text
``resource:service.name``      an attribute of its resource
``event:exception:x.y``        attribute ``x.y`` of its first event named ``exception``
``event_time:First Token``     time (nanoseconds, text) of its first event of that name
``llm.*.usage``                the attribute ``llm.<anything>.usage``; what the star matched: ``llm.*.usage@``
``@name`` ...                  fields of the record: @name @kind @status @status_message @scope @scope_version
                               @trace_id @span_id @parent_span_id @start @end @event_name @body
``~usage`` ...                 what the dialect itself worked out before (`Dialect.derive`)
=============================  ==========================================================================

A name that no record in the batch carries is a column of nulls. To add a producer: one file with one `Dialect`, and its
name in the list of `processors.dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from processors.batch import Signal
from processors.contract import Group

#: Extra columns a dialect may fill beside the said ones of the contract.
#: ``caller_is_gateway``: the record was written by a gateway, so its resource is not the caller's.
#: ``timing_is_borrowed``: the record is not the call's own span, so its times are not the call's.
EXTRAS: Final = (
    "role",
    "request_span",
    "total_tokens",
    "call_id",
    "issues",
    "caller_is_gateway",
    "timing_is_borrowed",
)


@dataclass(frozen=True)
class Dialect:
    """One producer's way of describing LLM calls.

    Attributes:
        name: shown in `sources`, such as ``litellm.v1``.
        instrumentor: regular expression over the scope's name whose group tells a family of instrumentors apart:
            ``openinference.langchain`` and ``openinference.openai`` in `sources`. Two of them may see one call, the
            same one does not.
        signal: traces or logs.
        recognise: true for the rows this dialect explains; the first dialect in the list wins.
        derive: columns worked out once for the recognised rows, before ``said`` (names start with ``~``).
        said: canonical column (contract.SAID or EXTRAS) -> expression over the sheet. Text results are cast to the
            column's type, what cannot be cast is unknown.
        rank: how much this source is believed (lower is better): 5 our own callback in
            the gateway, 10 the gateway, 20 the SDK itself, 30 an instrumentor, 50 a guess, 60 a remnant.
        ranks: the rank of single groups where it differs.
        input_includes_cached: what the emitter means by input tokens; None when only the numbers can tell. ``said``
            may hold ``input_includes_cached`` where it differs by row.
    """

    name: str
    recognise: pl.Expr
    said: Mapping[str, pl.Expr]
    derive: Mapping[str, pl.Expr] = field(default_factory=dict)
    instrumentor: str | None = None
    signal: Signal = Signal.TRACES
    rank: int = 30
    ranks: Mapping[Group, int] = field(default_factory=dict)
    input_includes_cached: bool | None = True

    @property
    def source(self) -> pl.Expr:
        """What `sources` shows."""
        if self.instrumentor is None:
            return pl.lit(self.name)
        own = pl.col("@scope").str.extract(self.instrumentor, 1)
        return pl.concat_str(pl.lit(self.name), own, separator=".", ignore_nulls=True)

    def names(self) -> set[str]:
        """Every sheet column its expressions use."""
        expressions = [self.recognise, *self.derive.values(), *self.said.values()]
        used = {name for expression in expressions for name in expression.meta.root_names()}
        return {name for name in used if not name.startswith("~")}
