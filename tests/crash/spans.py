"""Rows of `otel_traces` for tests of the spool and the writer: each row is told apart by its span id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from processors.contract import LEDGER_SCHEMA, OBSERVATION_SCHEMA
from processors.landing import OTEL_LOGS, OTEL_TRACES

# Yesterday: the TTL of the tables must not reach it, nor may a test see two partitions at midnight by accident.
NOW = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0) - timedelta(days=1)


def traces(span_ids: Sequence[str], *, trace_id: str = "trace", days: int = 1) -> pl.DataFrame:
    """One row per span id, spread over ``days`` partitions."""
    rows = pl.DataFrame({"SpanId": span_ids}, schema={"SpanId": pl.String}).with_row_index("n")
    given = {
        "Timestamp": pl.lit(NOW) - pl.duration(days=pl.col("n") % days),
        "TraceId": pl.lit(trace_id),
        "SpanName": pl.lit("chat"),
    }
    return _filled(rows.with_columns(**given), OTEL_TRACES)


def logs(span_ids: Sequence[str]) -> pl.DataFrame:
    """One log record per span id."""
    rows = pl.DataFrame({"SpanId": span_ids}, schema={"SpanId": pl.String})
    return _filled(rows.with_columns(Timestamp=pl.lit(NOW)), OTEL_LOGS)


def uneven(rows: pl.DataFrame, span_ids: Sequence[str]) -> pl.DataFrame:
    """The same rows, some of them poisoned: their Nested columns have unequal lengths, which ClickHouse refuses."""
    names = pl.when(pl.col("SpanId").is_in(span_ids)).then(pl.lit(["an event"])).otherwise("Events.Name")
    return rows.with_columns(names.alias("Events.Name"))


def observations(ids: Sequence[str]) -> pl.DataFrame:
    """Observations that say nothing but who they are."""
    return _filled(pl.DataFrame({"observation_id": ids}, schema={"observation_id": pl.String}), OBSERVATION_SCHEMA)


def entries(seen: pl.DataFrame) -> pl.DataFrame:
    """One ledger entry per observation."""
    given = {"call_key": "observation_id", "started_at": pl.lit(NOW), "ended_at": pl.lit(NOW), "status": pl.lit("ok")}
    return _filled(seen.select(**given, sign=pl.lit(1), version=pl.lit(1)), LEDGER_SCHEMA)


def _filled(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """All columns of the schema: given, or empty."""
    return rows.select(
        pl.col(name).cast(dtype) if name in rows.columns else _empty(dtype).alias(name)
        for name, dtype in schema.items()
    )


def _empty(dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        return pl.lit("")
    if isinstance(dtype, pl.List):
        return pl.lit([], dtype=dtype)
    if dtype == pl.Map(pl.String, pl.String):
        return pl.lit([], dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.String}))).cast(dtype)
    return pl.lit(None, dtype=dtype) if dtype.is_decimal() or dtype == pl.Boolean else pl.lit(0).cast(dtype)
