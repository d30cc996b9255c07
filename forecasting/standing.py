"""Where each budget stands and where it is going, as rows of `genai_budget`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from clickhouse_schema.tables import DERIVED
from forecasting import profile
from forecasting.arrays import Floats
from forecasting.frequency import FREQUENCIES
from forecasting.futures import Stored
from forecasting.outlook import Ahead, burn, planned_share
from forecasting.series import Key
from forecasting.spending import HOUR, Spending, spending

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.budgets import Budget

TABLE: Final = "genai_budget"
#: Probabilities at which the period's total is told.
LEVELS: Final = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
_PATHS: Final = 500
#: Forecasts older than this are none.
_FRESH: Final = {"day": timedelta(days=3), "hour": timedelta(hours=12)}
_STORED: Final = """
SELECT tenant, axis, value, freq, as_of, any(run_id) AS run, groupArray(yhat) AS middle, groupArray(hi50) AS high50,
  groupArray(hi80) AS high80, groupArray(hi95) AS high95, any(lasting) AS lasting, any(carried) AS carried
FROM (
  SELECT * FROM otel.genai_forecast FINAL
  WHERE metric = 'cost_usd' AND axis IN ('total', 'budget') AND freq = {freq:String}
    AND as_of <= parseDateTimeBestEffort({now:String}, 'UTC') AND as_of > parseDateTimeBestEffort({since:String}, 'UTC')
    AND bucket >= as_of
  ORDER BY tenant, axis, value, as_of, bucket
)
GROUP BY tenant, axis, value, freq, as_of
ORDER BY as_of DESC LIMIT 1 BY tenant, axis, value"""


def forecasts(store: Store, now: datetime) -> dict[tuple[Key, str], Stored]:
    """The newest fresh forecast of every series a budget may have, by key and frequency."""
    found = {}
    form = "%Y-%m-%dT%H:%M:%SZ"
    for freq, age in _FRESH.items():
        asked = {"freq": freq, "now": now.strftime(form), "since": (now - age).strftime(form)}
        for row in store.arrow(_STORED, asked).iter_rows(named=True):
            key = Key(row["tenant"], "cost_usd", row["axis"], row["value"])
            arrays = {name: np.asarray(row[name]) for name in ("middle", "high50", "high80", "high95")}
            found[key, freq] = Stored(
                key=key,
                run_id=row["run"],
                frequency=FREQUENCIES[freq],
                start=row["as_of"],
                lasting=row["lasting"],
                carried=row["carried"],
                **arrays,
            )
    return found


@dataclass(frozen=True)
class View:
    """What stays as it is for an hour of a budget's period: the shape of its plan, its futures, its usual bursts."""

    shape: Floats | None
    ahead: Ahead | None
    run_id: str = ""
    fullest_hour: float | None = None


def rows(store: Store, budgets: Sequence[Budget], now: datetime) -> list[dict[str, Any]]:
    """One row a budget, as of ``now``."""
    known = forecasts(store, now)
    found = []
    for one in budgets:
        spent = spending(store, one)
        found.append(row(one, spent, view(one, spent, known.get((one.key, one.frequency.name)), now), now))
    return found


def frame(found: Sequence[Mapping[str, Any]], as_of: datetime, computed_at: datetime) -> pl.DataFrame:
    """Rows as they are inserted; ``computed_at`` was before anything was read: what was posted since is not in them."""
    moments = {"as_of": as_of.replace(microsecond=0), "computed_at": computed_at}
    return pl.DataFrame([{**row, **moments} for row in found], schema=DERIVED[TABLE], orient="row")


def view(budget: Budget, spent: Spending, stored: Stored | None, now: datetime) -> View:
    """What is seen of a budget in the hour of ``now``."""
    shape = None
    if budget.limit is not None:
        first = math.floor(spent.place(budget.span.start))
        shape = period_shape(profile.weekly(spent.hours[:first], spent.since), budget)
    known = spent.hours[: math.floor(spent.place(now))]
    fullest = profile.fullest_hour(known)
    if stored is None or stored.end < budget.span.end:
        return View(shape, None, fullest_hour=fullest)
    week = profile.weekly(known, spent.since)
    paths = stored.hourly(week, now, budget.span.end, _PATHS)
    return View(shape, Ahead(paths, _floor(now), HOUR, budget.span.end), stored.run_id, fullest)


def row(budget: Budget, spent: Spending, seen: View, now: datetime) -> dict[str, Any]:
    """How a budget stands ``now``, in the hour that is ``seen``."""
    total = spent.total
    if budget.counted is not None:  # it enforces its own count; ours knows what it has not noted yet
        total = max(total, budget.counted.usd)
    return {
        "tenant": budget.tenant,
        "budget": budget.name,
        "labels": dict(budget.labels),
        "period": budget.period,
        "timezone": budget.timezone,
        "period_start": budget.span.start,
        "period_end": budget.span.end,
        "soft_usd": budget.soft_usd,
        "hard_usd": budget.hard_usd,
        "owner": budget.owner,
        "source": budget.source,
        "spent_usd": total,
        **_plan(budget, total, seen.shape, now),
        "fullest_hour_usd": seen.fullest_hour,
        **_prospect(budget, spent, total, seen, now),
    }


def _plan(budget: Budget, total: Decimal, shape: Floats | None, now: datetime) -> dict[str, float | None]:
    """What may have been spent by now, when the limit has the shape of the usual weeks before the period."""
    if budget.limit is None or shape is None:
        return {"expected_usd": None, "burn_rate": None}
    elapsed = (now - _floor(budget.span.start)) / HOUR
    limit = float(budget.limit)
    return {
        "expected_usd": limit * planned_share(shape, elapsed),
        "burn_rate": burn(float(total), limit, shape, 0, elapsed),
    }


def period_shape(week: Floats, budget: Budget) -> Floats:
    """The usual week over the hours of the period; hours that belong to it in part count in part."""
    start, end = _floor(budget.span.start), budget.span.end
    shape = profile.over(week, start, -((start - end) // HOUR)).copy()
    shape[0] *= 1 - (budget.span.start - start) / HOUR
    if end != _floor(end):
        shape[-1] *= (end - _floor(end)) / HOUR
    return shape


def _prospect(budget: Budget, spent: Spending, total: Decimal, seen: View, now: datetime) -> dict[str, Any]:
    """How the period will end. Without a forecast only what has happened is known."""
    limit = None if budget.limit is None else float(budget.limit)
    gone = limit is not None and budget.limit is not None and total >= budget.limit
    moments = dict.fromkeys(("exhausted_at", "exhausted_earliest", "exhausted_latest"))
    if gone and limit is not None:
        moments = dict.fromkeys(moments, _crossed(budget, spent, limit, now))
    found: dict[str, Any] = {
        **dict.fromkeys(("forecast_p10", "forecast_p50", "forecast_p90")),
        "levels": [],
        "totals_usd": [],
        "overrun_probability": 1.0 if gone else None,
        "run_id": "",
        **moments,
    }
    if seen.ahead is None:
        return found
    elapsed = (now - _floor(now)) / HOUR
    p10, p50, p90, *at_levels = np.quantile(seen.ahead.totals(float(total), elapsed), (0.1, 0.5, 0.9, *LEVELS)).tolist()
    found |= {"forecast_p10": p10, "forecast_p50": p50, "forecast_p90": p90, "run_id": seen.run_id}
    found |= {"levels": list(LEVELS), "totals_usd": at_levels}
    if limit is None or gone:
        return found
    what = seen.ahead.outlook(float(total), limit, elapsed)
    dates = (what.exhausted_at, what.exhausted_early, what.exhausted_late)
    return found | {
        "overrun_probability": what.overrun_probability,
        **{name: at and max(at, now) for name, at in zip(moments, dates, strict=True)},
    }


def _crossed(budget: Budget, spent: Spending, limit: float, now: datetime) -> datetime:
    """When the limit was passed, linear within the hour; now, when only the gateway's counter says so."""
    first = math.floor(spent.place(budget.span.start))
    running = np.cumsum(spent.hours[first:])
    over = np.flatnonzero(running >= limit)
    if not len(over):
        return now
    hour = int(over[0])
    inside = (limit - (running[hour] - spent.hours[first + hour])) / max(spent.hours[first + hour], 1e-12)
    at = spent.since + (first + hour + float(np.clip(inside, 0.0, 1.0))) * HOUR
    return min(max(at, budget.span.start), now)


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def changed(found: Sequence[dict[str, Any]], before: Mapping[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that say something the rows ``before`` (by tenant and budget) did not."""
    fields = ("spent_usd", "run_id", "period_start", "soft_usd", "hard_usd", "labels", "owner", "source")
    return [
        row
        for row in found
        if (old := before.get((row["tenant"], row["budget"]))) is None or any(row[name] != old[name] for name in fields)
    ]
