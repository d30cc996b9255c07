"""Forecasts against what happened, by the measures of the M4 competition.

    make bench-forecast DATA=<path of M4 series as CSV: id,train,test; values separated by spaces> [EVERY=<n>]

Every model forecasts the test values of every series; OWA is relative to Naive2 (`forecasting.scores`). Ours is
`forecasting.forecast.forecast` as `tokentide forecast run` uses it, backtest included. Then the same on daily spend of
the demo's history.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from forecasting import scores
from forecasting.arrays import Floats
from forecasting.backtest import said
from forecasting.forecast import HOUSE, HOUSE_BY_DAY, PROPHET, Wish, forecast
from forecasting.frequency import DAY, HOUR, Frequency
from forecasting.models import Model, Past
from forecasting.models.autoregression import AR, AR_CHANGES
from forecasting.models.prophet import DefaultProphet
from forecasting.models.statistical import ETS, LOG_MSTL, THETA
from forecasting.series import Key, Series

#: M4 does not tell when its series began; any Monday will do.
START = datetime(2024, 1, 1, tzinfo=UTC)
LEVELS = (0.80, 0.95)


@dataclass(frozen=True)
class Case:
    name: str
    train: Floats
    test: Floats
    frequency: Frequency = HOUR


@dataclass(frozen=True)
class Result:
    """sMAPE, MASE and seconds by model; ours with coverage."""

    scores: dict[str, tuple[float, float, float]]
    inside: tuple[float, ...]


def m4(path: Path, every: int) -> list[Case]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::every]
    return [
        Case(row["id"], np.array(row["train"].split(), float), np.array(row["test"].split(), float)) for row in rows
    ]


def _cpu() -> float:
    """CPU seconds of this process and the programs it ran: Prophet fits in one."""
    return sum(os.times()[:4])


def measure(case: Case) -> Result:
    horizon, period = len(case.test), case.frequency.period
    past = Past(case.train, START, case.frequency)
    found: dict[str, tuple[float, float, float]] = {}

    def score(name: str, path: Floats, began: float) -> None:
        seconds = _cpu() - began
        found[name] = (
            scores.smape(case.test, path),
            scores.mase(case.test, path, case.train, period),
            seconds,
        )

    score("naive2", scores.naive2(case.train, period, horizon), _cpu())
    for model in _models(case.frequency):
        began = _cpu()
        score(model.name, _said_or_naive(model, past, horizon), began)
    began = _cpu()
    ours = forecast(
        Series(Key("", "", "total", case.name), case.frequency, START, case.train),
        Wish(horizon, prophet=case.frequency == DAY),
    )
    score("ours", ours.middle, began)
    inside = tuple(scores.coverage(case.test, *ours.interval(level)) for level in LEVELS)
    return Result(found, inside)


def _models(frequency: Frequency) -> tuple[Model, ...]:
    house = (*HOUSE, LOG_MSTL, ETS, THETA) if frequency == HOUR else (*HOUSE_BY_DAY, AR, AR_CHANGES)
    return (DefaultProphet(), PROPHET, *house)


def _said_or_naive(model: Model, past: Past, horizon: int) -> Floats:
    """A model that cannot (logarithms of 0) is scored as the seasonal naive forecast."""
    try:
        return said(model, past, horizon)
    except ValueError:
        return np.resize(past.values[-past.frequency.period :], horizon)


def demo_spend(companies: int = 8, days: int = 180, horizon: int = 28) -> Iterator[Case]:
    """Daily spend of demo companies, in total and by team; the last four weeks are to be forecast."""
    from otel_exporter.demo.history import HABITS, calls

    rates = _rates()
    for number in range(companies):
        until = datetime(2026, 11, 1 + number, tzinfo=UTC)
        spent: dict[str, Floats] = {habit.team: np.zeros(days) for habit in HABITS}
        for call in calls(until, days):
            into, out = rates.get(call.model, (0.0, 0.0))
            day = days - 1 - int((until - call.at).total_seconds() // 86400)
            spent[call.team][max(day, 0)] += into * call.input_tokens + out * call.output_tokens
        for name, values in {"total": sum(spent.values(), np.zeros(days)), **spent}.items():
            if values.any():
                yield Case(f"{name} {number}", values[:-horizon], values[-horizon:], DAY)


def _rates() -> dict[str, tuple[float, float]]:
    """Dollars a token: close enough for the shape of spending, caching left out."""
    from otel_exporter.pricebook import litellm_table

    fields = ("input_cost_per_token", "output_cost_per_token")
    table = litellm_table()[0]
    return {
        name: (float(entry.get(fields[0]) or 0), float(entry.get(fields[1]) or 0))
        for name, entry in table.items()
        if isinstance(entry, dict)
    }


def report(title: str, results: list[Result], wall: float) -> str:
    names = list(results[0].scores)
    means = {name: np.array([result.scores[name] for result in results]).mean(axis=0) for name in names}
    reference = means["naive2"]
    print(f"\n{title}: {len(results)} series, {wall:.0f} s")
    print(f"{'model':18}{'OWA':>8}{'sMAPE':>9}{'MASE':>8}{'s/series':>10}")
    ratio = {name: scores.owa(mean[0], mean[1], reference[0], reference[1]) for name, mean in means.items()}
    for name in names:
        print(f"{name:18}{ratio[name]:8.3f}{means[name][0]:9.2f}{means[name][1]:8.3f}{means[name][2]:10.4f}")
    inside = np.array([result.inside for result in results]).mean(axis=0)
    return (
        f"ours OWA={ratio['ours']:.3f} coverage80={inside[0]:.3f} coverage95={inside[1]:.3f} "
        f"seconds_per_series={means['ours'][2]:.3f}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--every", type=int, default=1, help="take every n-th series")
    given = arguments.parse_args()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        began = time.monotonic()
        days = list(pool.map(measure, demo_spend()))
        print(report("daily spend of the demo, 28 days ahead", days, time.monotonic() - began))
        began = time.monotonic()
        hours = list(pool.map(measure, m4(given.data, given.every), chunksize=2))
        print(report(f"{given.data.name}", hours, time.monotonic() - began))


if __name__ == "__main__":
    main()
