"""Forecasts for the command line: a run over the store, and a stored forecast with its history as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_exporter import upkeep
from otel_exporter.asking import asking, opened, table
from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Table

if TYPE_CHECKING:
    from forecasting.forecast import Forecast
    from forecasting.frequency import Frequency
    from forecasting.picture import View
    from forecasting.run import Outcome
    from otel_exporter.config import Settings

#: Seasons of history in a picture, per step of forecast.
_HISTORY_PER_STEP: Final = 3
_LATEST: Final = """SELECT bucket, as_of, yhat, lo80, hi80, model, mase, smape, coverage80, note
FROM genai_forecast FINAL
WHERE tenant = {tenant:String} AND axis = {axis:String} AND value = {value:String} AND metric = {metric:String}
    AND freq = {freq:String} AND as_of = (SELECT max(as_of) FROM genai_forecast
        WHERE tenant = {tenant:String} AND axis = {axis:String} AND value = {value:String}
            AND metric = {metric:String} AND freq = {freq:String})
ORDER BY bucket"""


@dataclass(frozen=True)
class Wanted:
    """What `forecast run` was asked for; a ``horizon`` or number of ``workers`` of 0 is the default one."""

    axis: str
    metric: str
    freq: str
    horizon: int
    most: int
    workers: int
    as_of: datetime


@dataclass(frozen=True)
class Shown:
    """Which stored forecast is to be shown."""

    tenant: str
    axis: str
    value: str
    metric: str
    freq: str


@dataclass(frozen=True)
class Answer:
    """A run's results as a table, and in one sentence."""

    table: Table
    sentence: str


def run(settings: Settings, wanted: Wanted, progress: Callable[[int, int], None]) -> Answer:
    """Forecast and store.

    Raises:
        Refused: a `serve` owns the directory, there are no data, or the question makes no sense.
    """
    from clickhouse_schema import runner
    from forecasting import rollups
    from forecasting import run as running
    from forecasting.forecast import Wish

    frequency = _frequency(wanted.freq)
    try:
        asked = rollups.question(wanted.as_of, wanted.axis, wanted.metric, frequency, wanted.most)
    except ValueError as error:
        raise Refused(Reason.MALFORMED, str(error)) from None
    upkeep.refuse_beside_a_serve(settings)
    wish = Wish(wanted.horizon or frequency.horizon, country=settings.forecast.country)
    with opened(settings) as store:
        runner.apply(store)
        outcome = running.run(
            store,
            asked,
            wish,
            prophet_series=settings.forecast.prophet_series if wanted.freq == "day" else 0,
            workers=wanted.workers or None,
            progress=progress,
        )
    return Answer(Table.of(map(_row, outcome.forecasts), "Forecasts"), _sentence(outcome, asked.as_of))


def _row(one: Forecast) -> dict[str, Any]:
    import numpy as np

    p10, p50, p90 = np.quantile(one.paths().sum(axis=1), (0.1, 0.5, 0.9))
    return {
        "tenant": one.key.tenant,
        "axis": one.key.axis,
        "value": one.key.value,
        "steps": len(one.middle),
        "sum_p10": _rounded(p10),
        "sum_p50": _rounded(p50),
        "sum_p90": _rounded(p90),
        "mase": _rounded(one.mase),
        "smape": _rounded(one.smape),
        "coverage80": _rounded(one.coverage80),
        "history": one.history,
        "model": one.model.split(" + ")[0],
        "note": one.note,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _sentence(outcome: Outcome, as_of: datetime) -> str:
    parts = [f"{len(outcome.forecasts)} of {outcome.series} series forecast as of {as_of:%Y-%m-%d %H:%M} UTC"]
    if outcome.earlier:
        parts.append(f"{outcome.earlier} had been before")
    if outcome.failed:
        parts.append(f"{len(outcome.failed)} could not be")
    return ", ".join(parts) + "\n"


def view(settings: Settings, shown: Shown) -> View:
    """The newest forecast of a series with its history.

    Raises:
        Refused: there is none, or the axis makes no sense.
    """
    import numpy as np

    from forecasting import rollups
    from forecasting.picture import View

    frequency = _frequency(shown.freq)
    with asking(settings) as ask:
        names = ("tenant", "axis", "value", "metric", "freq")
        found = table(ask, _LATEST, {name: getattr(shown, name) for name in names})
        if not found.rows:
            raise Refused(
                Reason.MALFORMED,
                f"no forecast of {shown.metric} by {shown.freq} for {shown.axis} {shown.value!r} of tenant "
                f"{shown.tenant!r}: tokentide forecast run --axis {shown.axis} --freq {shown.freq} makes one",
            )
        as_of = _time(found.rows[0][1])
        asked = rollups.question(as_of, shown.axis, shown.metric, frequency)
        since = as_of - _HISTORY_PER_STEP * len(found.rows) * frequency.step
        where = {"tenant": shown.tenant, "value": shown.value, "since": _iso(since), "until": _iso(as_of)}
        history = table(ask, _history(asked.rollup, asked.column, shown.metric), where)
    past = {_time(bucket): float(amount) for bucket, amount in history.rows}
    begin = min(past, default=as_of - frequency.step)
    moments = [begin + step * frequency.step for step in range((as_of - begin) // frequency.step)]
    return View(
        title=f"{shown.metric} {shown.axis} {shown.value}".strip(),
        caption=_caption(dict(zip(found.columns, found.rows[0], strict=True))),
        unit=f"{shown.metric} per {shown.freq}",
        past=moments,
        known=np.array([past.get(moment, 0.0) for moment in moments]),
        future=[_time(row[0]) for row in found.rows],
        middle=np.array([row[2] for row in found.rows], dtype=np.float64),
        low=np.array([row[3] for row in found.rows], dtype=np.float64),
        high=np.array([row[4] for row in found.rows], dtype=np.float64),
    )


def draw(picture: View, png: Path | None, html: Path | None) -> Iterator[Path]:
    """Write the files that were asked for; yields each when it is there."""
    from forecasting import picture as drawing

    for path, write in ((png, drawing.png), (html, drawing.page)):
        if path is not None:
            write(picture, path)
            yield path


def _history(rollup: str, column: str, metric: str) -> str:
    return (
        f"SELECT bucket, toFloat64(sum({metric})) AS amount FROM {rollup} WHERE tenant = {{tenant:String}} "
        f"AND {column} = {{value:String}} AND bucket >= parseDateTimeBestEffort({{since:String}}, 'UTC') "
        f"AND bucket < parseDateTimeBestEffort({{until:String}}, 'UTC') GROUP BY bucket ORDER BY bucket"
    )


def _caption(row: dict[str, Any]) -> str:
    error = "not tested" if row["mase"] is None else f"backtest MASE {row['mase']:.2f}"
    inside = "" if row["coverage80"] is None else f", {row['coverage80']:.0%} inside the 80 % interval"
    note = f". {row['note']}" if row["note"] else ""
    return f"as of {_time(row['as_of']):%Y-%m-%d %H:%M} UTC. {row['model']}. {error}{inside}{note}"


def _frequency(name: str) -> Frequency:
    from forecasting.frequency import FREQUENCIES

    if name not in FREQUENCIES:
        raise Refused(Reason.MALFORMED, f"no step {name!r}: one of {', '.join(FREQUENCIES)}")
    return FREQUENCIES[name]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
