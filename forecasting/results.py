"""Forecasts as rows of `genai_forecast`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from clickhouse_schema.tables import DERIVED
from forecasting.futures import LEVELS
from forecasting.series import Key

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.forecast import Forecast
    from forecasting.rollups import Question

_TABLE: Final = "genai_forecast"


def rows(forecasts: Sequence[Forecast], asked: Question, run_id: str, now: datetime) -> pl.DataFrame:
    """One row for each step of each forecast."""
    return pl.concat([_rows(one, asked, run_id, now) for one in forecasts])


def _rows(one: Forecast, asked: Question, run_id: str, now: datetime) -> pl.DataFrame:
    steps = len(one.middle)
    step = int(asked.frequency.step.total_seconds() * 1000)
    first = int(one.start.timestamp() * 1000)
    bands = {
        f"{side}{round(level * 100)}": values
        for level in LEVELS
        for side, values in zip(("lo", "hi"), one.interval(level), strict=True)
    }
    said = {
        "run_id": run_id,
        "as_of": one.start,
        **{name: getattr(one.key, name) for name in ("tenant", "metric", "axis", "value")},
        "freq": asked.frequency.name,
        "model": one.model,
        "mase": one.mase,
        "smape": one.smape,
        "coverage80": one.coverage80,
        "coverage95": one.coverage95,
        "history": one.history,
        "note": one.note,
        "computed_at": now,
        "lasting": 1.0 if one.spread is None else one.spread.lasting,
        "carried": 0.0 if one.spread is None else one.spread.carried,
    }
    moving = {"bucket": first + step * np.arange(steps), "horizon": np.arange(1, steps + 1), "yhat": one.middle}
    schema = DERIVED[_TABLE]
    frame = pl.DataFrame({**moving, **bands}).with_columns(pl.lit(value).alias(name) for name, value in said.items())
    return frame.with_columns(pl.from_epoch("bucket", "ms").dt.replace_time_zone("UTC")).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )


def write(store: Store, frame: pl.DataFrame, token: str, table: str = _TABLE) -> None:
    """Insert rows, once per ``token``."""
    with tempfile.TemporaryDirectory(prefix="tokentide-") as directory:
        file = Path(directory) / "rows.arrow"
        frame.write_ipc(file)
        store.insert_file(table, file, token)


def done(store: Store, asked: Question, horizon: int) -> set[Key]:
    """The series that have been forecast this far from this moment: a run that was interrupted goes on after them."""
    found = store.arrow(
        "SELECT tenant, value FROM otel.genai_forecast "
        "WHERE metric = {metric:String} AND axis = {axis:String} AND freq = {freq:String} "
        "AND as_of = parseDateTimeBestEffort({as_of:String}, 'UTC') "
        "GROUP BY tenant, value HAVING max(horizon) >= {horizon:UInt32}",
        {
            "metric": asked.metric,
            "axis": asked.axis,
            "freq": asked.frequency.name,
            "as_of": asked.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "horizon": horizon,
        },
    )
    return {Key(tenant, asked.metric, asked.axis, value) for tenant, value in found.iter_rows()}
