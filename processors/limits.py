"""`limits`: budgets and rate limits as LiteLLM's spans show them, as rows of `genai_limits`.

The gateway's own counters are in `metadata.user_api_key_*`, the provider's headroom in the answer's headers, which
`hidden_params` repeats. Both are gauges: per minute the latest word on each key, user, team and deployment is kept.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Batch, Signal, moment
from processors.contract import MOMENT
from processors.dialects.sheet import Sheet
from processors.dialects.words import attr, decimal_at, dollars, first, text_at
from processors.landing import GENAI_LIMITS

_KEY: Final = "metadata.user_api_key"
_hidden = pl.col("hidden_params")


def _remaining(what: str) -> pl.Expr:
    """Headroom of ``requests`` or ``tokens``: as LiteLLM names it, as OpenAI does, as Anthropic does."""
    headers = (
        f"x_ratelimit_remaining_{what}",
        f"llm_provider-x-ratelimit-remaining-{what}",
        f"llm_provider-anthropic-ratelimit-{what}-remaining",
    )
    left = pl.coalesce([decimal_at(_hidden, header) for header in headers]).cast(pl.Float64, strict=False)
    return pl.when(left.is_between(0, 1e15)).then(left.cast(pl.Int64, strict=False))


def _instant(text: pl.Expr) -> pl.Expr:
    """A moment as ISO 8601 or as Python prints one; without an offset it is UTC."""
    day, time = (text.str.extract(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", part) for part in (1, 2))
    offset = text.str.extract(r"([+-]\d\d:?\d\d)$", 1).fill_null("+0000").str.replace(":", "")
    parsed = (day + "T" + time + offset).str.to_datetime("%Y-%m-%dT%H:%M:%S%z", time_unit="us", strict=False)
    return pl.when(parsed.dt.year().is_between(1970, 2261)).then(parsed).cast(MOMENT)


#: scope -> columns; what a scope does not have is null.
_SCOPES: Final = {
    "key": {
        "id": attr(f"{_KEY}_hash"),
        "alias": attr(f"{_KEY}_alias"),
        "max_budget_usd": dollars(attr(f"{_KEY}_max_budget")),
        "spend_usd": dollars(attr(f"{_KEY}_spend")),
        "reset_at": _instant(attr(f"{_KEY}_budget_reset_at")),
    },
    "user": {
        "id": attr(f"{_KEY}_user_id"),
        "alias": attr(f"{_KEY}_user_email"),
        "max_budget_usd": dollars(attr(f"{_KEY}_user_max_budget")),
        "spend_usd": dollars(attr(f"{_KEY}_user_spend")),
    },
    "team": {
        "id": attr(f"{_KEY}_team_id"),
        "alias": attr(f"{_KEY}_team_alias"),
        "max_budget_usd": dollars(attr(f"{_KEY}_team_max_budget")),
        "spend_usd": dollars(attr(f"{_KEY}_team_spend")),
    },
    "deployment": {
        "id": pl.coalesce(text_at(_hidden, "model_id"), first("litellm.provider.model", "gen_ai.request.model")),
        "alias": attr("litellm.model_group"),
        "remaining_requests": _remaining("requests"),
        "remaining_tokens": _remaining("tokens"),
    },
}
_NAMES: Final = {
    name for columns in _SCOPES.values() for column in columns.values() for name in column.meta.root_names()
}
_SHEET: Final = Sheet(_NAMES)
#: A counter at zero without a limit says nothing.
_SAYS_SOMETHING: Final = (
    pl.col("max_budget_usd").is_not_null()
    | (pl.col("spend_usd") > 0)
    | pl.col("remaining_requests").is_not_null()
    | pl.col("remaining_tokens").is_not_null()
).fill_null(False)


def limits(batch: Batch) -> pl.DataFrame:
    """Rows of `genai_limits`: the latest of each minute for each key, user, team and deployment."""
    if batch.signal is not Signal.TRACES:
        return pl.DataFrame(schema=GENAI_LIMITS)
    sheet = _SHEET(batch)
    rows = pl.concat([_of_scope(sheet, scope, batch.tenant) for scope in _SCOPES])
    minute = pl.col("observed_at").dt.truncate("1m")
    return (
        rows.filter(_SAYS_SOMETHING & pl.col("id").is_not_null())
        .sort("observed_at", "trace_id", "span_id")
        .unique(["scope", "id", minute], keep="last", maintain_order=True)
        .with_columns(pl.col("alias").fill_null(""))
    )


def _of_scope(sheet: pl.DataFrame, scope: str, tenant: str) -> pl.DataFrame:
    columns = {
        "observed_at": moment(pl.col("@end")),
        "tenant": pl.lit(tenant),
        "scope": pl.lit(scope),
        **_SCOPES[scope],
        "trace_id": pl.col("@trace_id"),
        "span_id": pl.col("@span_id"),
    }
    missing = pl.lit(None)
    return sheet.select(
        columns.get(name, missing).cast(dtype, strict=False).alias(name) for name, dtype in GENAI_LIMITS.items()
    )
