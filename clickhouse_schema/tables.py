"""The tables rows are inserted into: their insert columns, the frames they take, how they are partitioned.

ClickHouse accepts an Arrow file with extra or missing columns without a word, so a frame is checked against `LANDING`
before it becomes a file.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from processors import landing
from processors.contract import LEDGER_SCHEMA, MAP, MONEY

DATABASE: Final = "otel"

_MILLISECOND: Final = pl.Datetime("ms", "UTC")
ALERT_STATE: Final = pl.Schema(
    {
        **dict.fromkeys(("rule", "rule_group", "fingerprint", "tenant", "severity"), pl.String()),
        **dict.fromkeys(("labels", "annotations"), MAP),
        "state": pl.String(),
        "value": pl.Float64(),
        **dict.fromkeys(
            ("active_at", "fired_at", "keep_until", "resolved_at", "last_sent_at", "updated_at"), _MILLISECOND
        ),
    }
)

#: The frame each table takes, columns in insert order.
LANDING: Final[dict[str, pl.Schema]] = {
    **landing.LANDING,
    "genai_ledger": LEDGER_SCHEMA,
    "alert_state": ALERT_STATE,
}

#: Insert columns per table.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {table: tuple(schema) for table, schema in LANDING.items()}

_MOMENT: Final = pl.Datetime("ms", "UTC")
_FORECAST: Final[list[tuple[str, pl.DataType | type[pl.DataType]]]] = [
    ("run_id", pl.String),
    ("as_of", _MOMENT),
    ("tenant", pl.String),
    ("metric", pl.String),
    ("axis", pl.String),
    ("value", pl.String),
    ("freq", pl.String),
    ("bucket", _MOMENT),
    ("horizon", pl.UInt32),
    ("model", pl.String),
    ("yhat", pl.Float64),
    ("lo50", pl.Float64),
    ("hi50", pl.Float64),
    ("lo80", pl.Float64),
    ("hi80", pl.Float64),
    ("lo95", pl.Float64),
    ("hi95", pl.Float64),
    ("mase", pl.Float64),
    ("smape", pl.Float64),
    ("coverage80", pl.Float64),
    ("coverage95", pl.Float64),
    ("history", pl.UInt32),
    ("note", pl.String),
    ("computed_at", _MOMENT),
    ("lasting", pl.Float64),
    ("carried", pl.Float64),
]
_BUDGET: Final[list[tuple[str, pl.DataType | type[pl.DataType]]]] = [
    ("as_of", _MOMENT),
    ("tenant", pl.String),
    ("budget", pl.String),
    ("labels", MAP),
    ("period", pl.String),
    ("timezone", pl.String),
    ("period_start", _MOMENT),
    ("period_end", _MOMENT),
    ("soft_usd", MONEY),
    ("hard_usd", MONEY),
    ("owner", pl.String),
    ("source", pl.String),
    ("spent_usd", MONEY),
    ("expected_usd", pl.Float64),
    ("burn_rate", pl.Float64),
    ("fullest_hour_usd", pl.Float64),
    ("forecast_p10", pl.Float64),
    ("forecast_p50", pl.Float64),
    ("forecast_p90", pl.Float64),
    ("levels", pl.List(pl.Float64)),
    ("totals_usd", pl.List(pl.Float64)),
    ("overrun_probability", pl.Float64),
    ("exhausted_at", _MOMENT),
    ("exhausted_earliest", _MOMENT),
    ("exhausted_latest", _MOMENT),
    ("run_id", pl.String),
    ("computed_at", _MOMENT),
]
_TEXTS: Final = pl.List(pl.String)
_NUMBERS: Final = pl.List(pl.Float64)
_ANOMALY: Final[list[tuple[str, pl.DataType | type[pl.DataType]]]] = [
    ("incident_id", pl.String),
    ("tenant", pl.String),
    ("metric", pl.String),
    ("axis", pl.String),
    ("value", pl.String),
    ("detector", pl.String),
    ("started_at", _MOMENT),
    ("ended_at", _MOMENT),
    ("severity", pl.String),
    ("score", pl.Float64),
    ("observed", pl.Float64),
    ("expected", pl.Float64),
    ("lo", pl.Float64),
    ("hi", pl.Float64),
    ("impact_usd", pl.Float64),
    ("contributors.axis", _TEXTS),
    ("contributors.value", _TEXTS),
    ("contributors.observed", _NUMBERS),
    ("contributors.expected", _NUMBERS),
    ("contributors.share", _NUMBERS),
    ("note", pl.String),
    ("updated_at", _MOMENT),
]
_DOCUMENTS: Final = ("csv", "parquet", "focus")
_CLOSING: Final[list[tuple[str, pl.DataType | type[pl.DataType]]]] = [
    ("closing_id", pl.String),
    ("period", pl.String),
    ("timezone", pl.String),
    ("starts_at", _MOMENT),
    ("ends_at", _MOMENT),
    ("cut_at", _MOMENT),
    ("unfinished", pl.Boolean),
    ("row_count", pl.UInt64),
    ("calls", pl.Int64),
    ("cost_usd", MONEY),
    *((f"{name}_sha256", pl.String) for name in _DOCUMENTS),
    *((name, pl.Binary) for name in _DOCUMENTS),
]
_STATEMENT: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    **dict.fromkeys(
        (
            "closing_id", "period", "kind", "of_period", "tenant", "organization", "cost_center", "team", "project",
            "provider", "model",
        ),
        pl.String,
    ),
    **dict.fromkeys(
        (
            "calls", "errors", "unpriced_calls", "input_tokens", "cache_read_tokens", "cache_write_tokens",
            "output_tokens", "reasoning_tokens",
        ),
        pl.Int64,
    ),
    **dict.fromkeys(
        (
            "cost_usd", "cost_input_usd", "cost_output_usd", "cost_cache_usd", "cost_other_usd", "discount_usd",
            "margin_usd", "saved_usd",
        ),
        MONEY,
    ),
}  # fmt: skip
_ADVICE: Final[list[tuple[str, pl.DataType | type[pl.DataType]]]] = [
    ("computed_at", _MOMENT),
    ("tenant", pl.String),
    ("since", _MOMENT),
    ("until", _MOMENT),
    ("kind", pl.String),
    ("subject", pl.String),
    ("change", pl.String),
    ("calls", pl.UInt64),
    ("actual_usd", MONEY),
    ("would_be_usd", MONEY),
    ("saved_usd", MONEY),
    ("unknown_calls", pl.UInt64),
    ("cached_tokens", pl.UInt64),
    ("assumption", pl.String),
    ("config", pl.String),
]
#: Tables that are computed from the others, not landed: the frame each takes.
DERIVED: Final[dict[str, pl.Schema]] = {
    "genai_forecast": pl.Schema(_FORECAST),
    "genai_budget": pl.Schema(_BUDGET),
    "genai_anomaly": pl.Schema(_ANOMALY),
    "genai_closing": pl.Schema(_CLOSING),
    "genai_statement": pl.Schema(_STATEMENT),
    "genai_advice": pl.Schema(_ADVICE),
}
#: Insert columns of every table.
INSERTED: Final[dict[str, tuple[str, ...]]] = {
    **COLUMNS,
    **{table: tuple(schema) for table, schema in DERIVED.items()},
}

#: The time column that decides a row's partition, and the length of a partition ("1d" or "1mo", UTC).
PARTITIONED_BY: Final[dict[str, tuple[str, str]]] = {
    "otel_traces": ("Timestamp", "1d"),
    "otel_logs": ("Timestamp", "1d"),
    **{table: ("TimeUnix", "1d") for table in COLUMNS if table.startswith("otel_metrics_")},
    "genai_limits": ("observed_at", "1mo"),
    "genai_refusals": ("observed_at", "1mo"),
    "genai_content": ("last_seen", "1d"),
    "genai_names": ("imported_at", "1mo"),
    "genai_agreement": ("compared_at", "1mo"),
    "genai_ledger": ("started_at", "1mo"),
    "alert_state": ("active_at", "1mo"),
}


def check(table: str, rows: pl.DataFrame) -> None:
    """Raise ValueError when ``rows`` are not exactly what ``table`` takes: a fault of ours, never of the data."""
    expected, found = LANDING[table], rows.schema
    if found != expected or rows.columns != list(expected):
        wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        raise ValueError(f"rows for {table} differ from its columns: {', '.join(wrong) or 'order'}")
