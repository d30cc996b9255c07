"""Attempts of one logical request: retries and fallbacks, where the telemetry shows them (issue 3.3)."""

from __future__ import annotations

import polars as pl


def names_a_request() -> pl.Expr:
    """Whether `request_span` is no span but a request's own name: ``<who gave it>/<name>``."""
    return pl.col("request_span").str.contains("/", literal=True).fill_null(False)


def request_handle() -> pl.Expr:
    """The handle by which all attempts of a named request are found."""
    return pl.when(names_a_request()).then("request:" + pl.col("request_span"))


def link_attempts(calls: pl.DataFrame) -> pl.DataFrame:
    """Fill `request_key`, `attempt`, `is_final`, `retry_of`, `fallback_from`.

    The gateway's span of the request (`request_span`) is what attempts share, or a name of the request that needs no
    trace (`names_a_request`). Without either nothing links them: unknown.
    """
    own = pl.col("trace_id")
    trace = pl.col("request_trace").fill_null(own) if "request_trace" in calls.columns else own
    linked = pl.col("request_span").fill_null("") != ""
    within = pl.concat_str(pl.lit("request:"), trace, pl.lit("/"), "request_span")
    key = pl.when(names_a_request()).then(request_handle()).when(linked).then(within)
    ordered = calls.with_columns(request_key=key.fill_null("")).sort("request_key", "started_at", "call_key")
    same = pl.col("request_key")
    before, model_before = (pl.col(name).shift(1).over(same) for name in ("call_key", "requested_model"))
    last = pl.int_range(pl.len()).over(same) == pl.len().over(same) - 1
    changed = (model_before != pl.col("requested_model")) & (model_before != "")
    return ordered.with_columns(
        attempt=pl.when(linked).then(pl.int_range(pl.len(), dtype=pl.UInt16).over(same) + 1).cast(pl.UInt16),
        is_final=pl.when(linked).then(last),
        retry_of=pl.when(linked).then(before).fill_null(""),
        fallback_from=pl.when(linked & changed).then(model_before).fill_null(""),
    )
