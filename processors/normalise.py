"""`normalise`: records of any dialect become observations in our words (DESIGN 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import polars as pl

from processors.batch import Batch, Signal, moment
from processors.contract import ENVELOPE, MOMENT, MONEY, OBSERVATION_SCHEMA, SAID, TEXTS, Group, Role
from processors.dialects import DIALECTS
from processors.dialects.dialect import EXTRAS, Dialect
from processors.dialects.names import error_class, error_status, operation_name, provider_name, provider_of_model
from processors.dialects.sheet import Sheet
from processors.dialects.words import attr, count, dollars, first
from processors.tokens import settle_tokens

#: What every dialect says unless it says otherwise: the resource tells who runs the code that made the call.
COMMON: Final[Mapping[str, pl.Expr]] = {
    "application": attr("resource:service.name"),
    "environment": first("resource:deployment.environment.name", "resource:deployment.environment"),
    "host": first("resource:host.name", "resource:host.id"),
    "team": first("resource:team", "resource:team.name"),
    "project": first("resource:project", "resource:project.name"),
    "organization": first("resource:organization", "resource:organization.name"),
    "user_id": first("resource:user.id", "resource:user.email"),
    "session_id": first("session.id", "gen_ai.conversation.id", "resource:session.id"),
    "agent": first("gen_ai.agent.name", "resource:gen_ai.agent.name"),
    "status": pl.when(pl.col("@status") == 2).then(pl.lit("error")).otherwise(pl.lit("ok")),
    "error_type": first("error.type", "event:exception:exception.type"),
    "error_code": first("http.response.status_code", "error.code"),
    "response_id": attr("gen_ai.response.id"),
    "response_model": attr("gen_ai.response.model"),
    "requested_model": attr("gen_ai.request.model"),
}
#: What a gateway says of its caller counts only when the caller itself says nothing; likewise borrowed times.
LAST_RANK: Final = 90
_FIELDS: Final = {"@trace_id", "@span_id", "@parent_span_id", "@start", "@end", "@status", "@event_name", "@name"}
_FLAGS: Final = ("caller_is_gateway", "timing_is_borrowed")


class Normalise:
    """Adds `observations`: one row per record that a dialect recognises as (part of) an LLM call."""

    reads: ClassVar[frozenset[str]] = frozenset(
        {"records.*", "attributes.*", "scopes.*", "resources.*", "events.*", "observations.*"}
    )
    writes: ClassVar[frozenset[str]] = frozenset({"observations.*"})

    def __init__(self, dialects: Sequence[Dialect] = DIALECTS) -> None:
        spoken = {signal: [d for d in dialects if d.signal is signal] for signal in Signal}
        self._readings = {signal: [_Reading(dialect) for dialect in known] for signal, known in spoken.items()}
        self._recognised = {signal: _recognised(known) for signal, known in spoken.items() if known}
        self._sheets = {signal: Sheet(_names(known)) for signal, known in spoken.items() if known}

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its observations (computed anew, so that normalising twice changes nothing)."""
        readings = self._readings[batch.signal]
        if not readings or batch.records.is_empty():
            return batch
        sheet = self._sheets[batch.signal](batch).with_columns(self._recognised[batch.signal].alias("@dialect"))
        parts = sheet.partition_by("@dialect", as_dict=True)
        spoken = [read(parts[name,], batch) for read in readings if (name := read.dialect.name,) in parts]
        if not spoken:
            return batch.with_frames(observations=pl.DataFrame(schema=OBSERVATION_SCHEMA))
        worded = _timed(_worded(pl.concat(spoken)), batch.signal)
        observations = _honest_cost(settle_tokens(worded)).sort("@record", maintain_order=True)
        return batch.with_frames(observations=observations.select(OBSERVATION_SCHEMA.names()))


def _names(dialects: Sequence[Dialect]) -> set[str]:
    common = {name for expression in COMMON.values() for name in expression.meta.root_names()}
    return common.union(_FIELDS, *(dialect.names() for dialect in dialects))


def _recognised(dialects: Sequence[Dialect]) -> pl.Expr:
    """The name of the first dialect that knows a record as its own."""
    return pl.coalesce([pl.when(dialect.recognise.fill_null(False)).then(pl.lit(dialect.name)) for dialect in dialects])


class _Reading:
    """What to make of a dialect's rows; the expressions are built once, which takes longer than small batches do."""

    def __init__(self, dialect: Dialect) -> None:
        said = {**COMMON, **dialect.said}
        included = said.pop("input_includes_cached", pl.lit(dialect.input_includes_cached))
        self.dialect = dialect
        self._columns = [
            pl.col("record").alias("@record"),
            included.cast(pl.Boolean).alias("@input_includes_cached"),
            dialect.source.alias("source"),
            *(pl.col(f"@{name}").fill_null("").alias(name) for name in ("trace_id", "span_id", "parent_span_id")),
            *(_typed(said.get(column.name), column.polars).alias(column.name) for column in SAID),
            *(_typed(said.get(name), _extra_type(name)).alias(name) for name in EXTRAS),
            *(pl.col(f"@{name}") for name in ("start", "end")),
        ]
        self._ranks = _ranks(dialect)

    def __call__(self, rows: pl.DataFrame, batch: Batch) -> pl.DataFrame:
        """Their observations, with `@record` and `@input_includes_cached` for the steps that follow."""
        derived = rows.with_columns(**self.dialect.derive) if self.dialect.derive else rows
        return derived.select(*self._columns, pl.lit(batch.tenant).alias("tenant")).with_columns(self._ranks)


def _extra_type(name: str) -> pl.DataType | type[pl.DataType]:
    return pl.Boolean if name in _FLAGS else ENVELOPE[name]


def _typed(expression: pl.Expr | None, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    """Cast what a dialect says to its column; what cannot be cast is unknown."""
    if expression is None:
        return pl.lit(None, dtype)
    if dtype == pl.UInt64:
        return count(expression)
    if dtype == MONEY:
        return dollars(expression)
    return expression.cast(dtype, strict=False)


def _worded(observations: pl.DataFrame) -> pl.DataFrame:
    """Defaults and the semantic conventions' spelling."""
    failed = (pl.col("status") == "error").fill_null(False)
    provider = pl.coalesce(
        provider_name(pl.col("provider")), provider_of_model(pl.coalesce("model", "requested_model"))
    )
    cause = error_class(pl.col("error_type"))
    return observations.with_columns(
        status=pl.when(failed).then(pl.lit("error")).otherwise(pl.lit("ok")),
        error_type=pl.when(failed).then(cause),
        error_code=pl.when(failed).then(error_status(pl.col("error_code"), cause)),
        provider=provider,
        operation=operation_name(pl.col("operation")),
        role=pl.col("role").fill_null(Role.CALL.value),
        request_span=pl.col("request_span").fill_null(""),
        call_id=pl.col("call_id").fill_null(""),
        issues=pl.col("issues").fill_null(pl.lit([], TEXTS)),
    )


def _honest_cost(observations: pl.DataFrame) -> pl.DataFrame:
    """A cost of zero for tokens nobody counted is no cost that was reported."""
    made_up = pl.col("issues").list.contains("tokens_unknown") & (pl.col("cost_reported_usd") == 0)
    return observations.with_columns(cost_reported_usd=pl.when(~made_up.fill_null(False)).then("cost_reported_usd"))


def _timed(observations: pl.DataFrame, signal: Signal) -> pl.DataFrame:
    """Start and end; a log record marks the end, its duration is what it says."""
    start, end = moment(pl.col("@start")), moment(pl.col("@end"))
    if signal is Signal.LOGS:
        duration = _possible(pl.col("duration_ms"), end.dt.timestamp("us") / 1e3)
        lasted = (duration.fill_null(0.0) * 1e6).cast(pl.Int64).cast(pl.Duration("ns"))
        start = (end - lasted).cast(MOMENT)
        identity = pl.concat_str(
            pl.lit("log"),
            "trace_id",
            "span_id",
            pl.col("@end").cast(pl.String),
            "call_id",
            pl.col("response_id").fill_null(""),
            separator="/",
        )
    else:
        identity = pl.when(_has_id()).then(pl.concat_str("trace_id", "span_id", separator="/")).otherwise(_looks())
        duration = (end - start).dt.total_nanoseconds().clip(lower_bound=0) / 1e6
    return observations.with_columns(
        observation_id=identity,
        started_at=start,
        ended_at=pl.max_horizontal(start, end),
        duration_ms=duration,
        **{name: _possible(pl.col(name), pl.lit(math.inf)) for name in ("ttft_ms", "gateway_overhead_ms")},
    )


def _possible(milliseconds: pl.Expr, most: pl.Expr) -> pl.Expr:
    """The milliseconds somebody reported, unless they are negative, endless, or more than can have passed."""
    return pl.when(milliseconds.is_finite() & milliseconds.is_between(0, most)).then(milliseconds)


def _has_id() -> pl.Expr:
    """Whether a span has an id that OTLP calls valid: not empty, not all zeros."""
    return pl.col("span_id").str.contains("[1-9a-f]")


def _looks() -> pl.Expr:
    """What tells spans without an id apart, and is the same when one is sent again."""
    said = ("response_id", "call_id", "model", "input_tokens", "output_tokens")
    moments = [pl.col(name).cast(pl.String) for name in ("@start", "@end")]
    words = [pl.col(name).cast(pl.String).fill_null("") for name in said]
    return pl.concat_str("trace_id", "span_id", *moments, *words, separator="/")


def _ranks(dialect: Dialect) -> list[pl.Expr]:
    """The rank of each group of fields; what is said of somebody else counts last."""
    ranks = {f"rank_{group}": pl.lit(dialect.ranks.get(group, dialect.rank), pl.UInt8) for group in Group}
    for flag, rank in (("caller_is_gateway", "rank_caller"), ("timing_is_borrowed", "rank_timing")):
        last = pl.col(flag).fill_null(False)
        ranks[rank] = pl.when(last).then(pl.lit(LAST_RANK, pl.UInt8)).otherwise(ranks[rank])
    return [*(rank.alias(name) for name, rank in ranks.items()), pl.lit([], TEXTS).alias("keys")]
