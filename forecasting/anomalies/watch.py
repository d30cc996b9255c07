"""Series and their incidents: hourly sums out of the rollups, what stands out in them, who caused it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecasting.anomalies.causes import Amounts, Contributor, contributors
from forecasting.anomalies.episodes import Episode, Judged, Observed, candidates, episodes, judge
from forecasting.anomalies.novelty import SEASON_DAYS, expectations
from forecasting.anomalies.policy import MEASURES, TOTAL, Measure, Policy
from forecasting.anomalies.records import Incident
from forecasting.arrays import Floats

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

DETECTOR: Final = "novelty"
#: How far back records reach; the window begins on a Monday, so that within a week every run sees the same past.
_WEEKS: Final = 8
_HOUR: Final = timedelta(hours=1)
#: Closed hours that are read again each time: the last calls of an hour arrive after it.
_LATE: Final = 2
#: Hours before those asked for that are judged, too: an incident that lasts began earlier.
_MARGIN: Final = 24
#: An incident of the total is one of a part of it when that part brings at least this share of the excess.
_EXPLAINED: Final = 0.5
_SUMS: Final = {
    "cost_usd": "toFloat64(sum(cost_usd))",
    "calls": "toFloat64(sum(calls))",
    "errors": "toFloat64(sumIf(calls, status = 'error'))",
    "duration_ms": "sum(duration_us) / 1000",
    "timed_calls": "toFloat64(sum(duration_calls))",
    "priced_calls": "toFloat64(sum(calls) - sum(unpriced_calls))",
}
_SPAN: Final = (
    "bucket >= parseDateTimeBestEffort({since:String}, 'UTC') "
    "AND bucket < parseDateTimeBestEffort({until:String}, 'UTC')"
)


@dataclass
class History:
    """Hourly sums by axis; hours that are closed are kept between runs, so that a run reads only the newest."""

    since: datetime | None = None
    until: datetime | None = None
    closed: dict[str, pl.DataFrame] = field(default_factory=dict)

    def read(self, store: Store, axis: str, policy: Policy, window: Window) -> pl.DataFrame:
        """The rows (tenant, value, place, sums) of the window."""
        kept_until = window.hour - _LATE * _HOUR
        if (self.since, self.until) != (window.since, kept_until):
            self.since, self.until, self.closed = window.since, kept_until, {}
        if axis not in self.closed:
            self.closed[axis] = _sums(store, axis, policy.most, window.since, kept_until, window)
        newest = _sums(store, axis, policy.most, kept_until, window.hour + _HOUR, window)
        return pl.concat([self.closed[axis], newest])


@dataclass(frozen=True)
class Window:
    """The hours that are looked at, the last one not over yet."""

    since: datetime
    hour: datetime

    @staticmethod
    def before(now: datetime) -> Window:
        """What is known at ``now``."""
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        monday = hour.replace(hour=0) - timedelta(days=hour.weekday(), weeks=_WEEKS)
        return Window(monday, hour)

    @property
    def hours(self) -> int:
        """Their number."""
        return (self.hour - self.since) // _HOUR + 1

    def at(self, place: int) -> datetime:
        """The start of an hour."""
        return self.since + place * _HOUR


@dataclass(frozen=True)
class Board:
    """Every series of an axis: who they are, and their sums as arrays (series, hours)."""

    axis: str
    keys: list[tuple[str, str]]
    sums: dict[str, Floats]

    def only(self, rows: NDArray[np.bool_]) -> Board:
        """The board with some of its series."""
        keys = [key for key, wanted in zip(self.keys, rows, strict=True) if wanted]
        return Board(self.axis, keys, {name: array[rows] for name, array in self.sums.items()})

    def observed(self, measure: Measure) -> Observed:
        """What a metric is made of."""
        numerator = self.sums[measure.numerator]
        denominator = self.sums[measure.denominator] if measure.denominator else None
        return Observed(numerator, denominator, np.nan_to_num(self.sums["calls"]))


@dataclass(frozen=True)
class Found:
    """An episode with the series it belongs to."""

    board: Board
    row: int
    measure: Measure
    judged: Judged
    episode: Episode

    @property
    def tenant(self) -> str:
        """Whose series."""
        return self.board.keys[self.row][0]

    def excess(self, place: int) -> float:
        """Beyond the expected in one hour."""
        return float(np.nan_to_num(self.judged.values - self.judged.novelty.expected)[self.row, place])


def _sums(store: Store, axis: str, most: int, since: datetime, until: datetime, window: Window) -> pl.DataFrame:
    column = "''" if axis == TOTAL else f"toString({axis})"
    largest = (
        ""
        if axis == TOTAL
        else f"AND (tenant, {column}) IN (SELECT tenant, {column} AS value FROM otel.genai_rollup_hour WHERE "
        f"{_SPAN.replace('{since', '{from').replace('{until', '{upto')} AND value != '' GROUP BY tenant, value "
        f"ORDER BY sum(calls) DESC, tenant, value LIMIT {int(most)})"
    )
    rows = store.arrow(
        f"SELECT tenant, {column} AS value, bucket, {', '.join(f'{sql} AS {n}_' for n, sql in _SUMS.items())} "
        f"FROM otel.genai_rollup_hour WHERE {_SPAN} {largest} GROUP BY tenant, value, bucket",
        {"since": _text(since), "until": _text(until), "from": _text(window.since), "upto": _text(window.hour + _HOUR)},
    )
    place = ((pl.col("bucket").dt.epoch("s") - int(window.since.timestamp())) // 3600).alias("place")
    return rows.select("tenant", "value", place, *(pl.col(f"{name}_").cast(pl.Float64).alias(name) for name in _SUMS))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def board(rows: pl.DataFrame, axis: str, hours: int) -> Board:
    """Arrays out of rows. Before its first call a series is not known (NaN); after it, silence is zero."""
    keys = sorted(set(zip(rows["tenant"].to_list(), rows["value"].to_list(), strict=True)))
    number = {key: i for i, key in enumerate(keys)}
    at = np.array([number[key] for key in rows.select("tenant", "value").iter_rows()], dtype=np.int64)
    sums = {name: np.zeros((len(keys), hours)) for name in _SUMS}
    for name, array in sums.items():
        array[at, rows["place"].to_numpy()] = rows[name].to_numpy()
    unborn = np.cumsum(sums["calls"] > 0, axis=-1) == 0
    return Board(axis, keys, {name: np.where(unborn, np.nan, array) for name, array in sums.items()})


def incidents(store: Store, now: datetime, policy: Policy, history: History, since: datetime) -> list[Incident]:
    """Every incident that lasts, or ended at ``since`` or later, as it is known at ``now``."""
    window = Window.before(now)
    boards = [board(history.read(store, axis, policy, window), axis, window.hours) for axis in policy.axes]
    # Shares of a part are of the total's excess: parts first, so that the total knows them.
    settled = max(0, (since - window.since) // _HOUR - _MARGIN)
    found = [one for each in boards if each.keys for one in _found(each, policy, settled)]
    told = [one for one in found if not _explained(one, found) and window.at(one.episode.last + 1) >= since]
    return [_incident(store, one, window, policy, now) for one in told]


def _found(whole: Board, policy: Policy, settled: int) -> Iterator[Found]:
    measures = [MEASURES[name] for name in policy.metrics]
    each = whole.only(candidates(measures, [whole.observed(one) for one in measures], policy, settled))
    if not each.keys or not measures:
        return
    for measure, judged in zip(
        measures, judge(measures, [each.observed(one) for one in measures], policy), strict=True
    ):
        for row in np.flatnonzero(judged.begins.any(axis=-1)):
            yield from (Found(each, int(row), measure, judged, one) for one in episodes(judged, int(row)))


def _explained(one: Found, found: Sequence[Found]) -> bool:
    """Whether an incident of the total is that of one of its parts: then only the part is told, with its name."""
    if one.board.axis != TOTAL:
        return False
    first = one.episode.first
    return any(
        part.board.axis != TOTAL
        and (part.tenant, part.measure.name) == (one.tenant, one.measure.name)
        and part.episode.first <= first <= part.episode.last
        and (part.measure.denominator or part.excess(first) >= _EXPLAINED * one.excess(first))
        for part in found
    )


def _incident(store: Store, one: Found, window: Window, policy: Policy, now: datetime) -> Incident:
    episode, measure = one.episode, one.measure
    tenant, value = one.board.keys[one.row]
    end = window.at(episode.last + 1)
    hours = np.arange(episode.first, episode.last + 1)
    cost = one.board.sums["cost_usd"]
    beyond = np.nan_to_num(cost[one.row] - expectations(cost[one.row], 24)[0])[hours]
    return Incident(
        tenant=tenant,
        metric=measure.name,
        axis=one.board.axis,
        value=value,
        detector=DETECTOR,
        started_at=window.at(episode.first),
        ended_at=None if episode.open else min(end, now),
        severity="critical" if episode.critical else "warning",
        score=episode.score,
        observed=episode.observed,
        expected=episode.expected,
        lo=max(_finite(episode.low, episode.expected), 0.0),
        hi=_finite(episode.high, episode.expected),
        impact_usd=max(float(beyond.sum()), 0.0),
        contributors=tuple(_contributors(store, one, window, policy)),
        note=_note(episode, measure),
    )


def _finite(value: float, otherwise: float) -> float:
    return value if np.isfinite(value) else otherwise


def _note(episode: Episode, measure: Measure) -> str:
    hours = episode.last - episode.first + 1
    times = (
        f"{episode.observed / episode.expected:.1f} times the expected" if episode.expected else "where none was usual"
    )
    return f"{episode.observed:.4g} {measure.unit}, {times}, for {hours} hour{'s' if hours > 1 else ''}"


def _contributors(store: Store, one: Found, window: Window, policy: Policy) -> list[Contributor]:
    """Asked of the store for the incident's hours and the same hours of the days before."""
    axes = [axis for axis in policy.causes if axis != one.board.axis]
    own = [Contributor(one.board.axis, one.board.keys[one.row][1], *_own(one), 1.0)] if one.board.axis != TOTAL else []
    return own + contributors(_amounts(store, one, axis, window) for axis in axes)


def _own(one: Found) -> tuple[float, float]:
    hours = slice(one.episode.first, one.episode.last + 1)
    values = np.nan_to_num(one.judged.values[one.row, hours])
    usual = np.nan_to_num(one.judged.novelty.expected[one.row, hours])
    return (float(values.sum()), float(usual.sum())) if not one.measure.denominator else (values.max(), usual.max())


def _amounts(store: Store, one: Found, axis: str, window: Window) -> Amounts:
    first, last = one.episode.first, one.episode.last
    hours = last - first + 1
    measure, ratio = one.measure, bool(one.measure.denominator)
    mine = "" if one.board.axis == TOTAL else f"AND {one.board.axis} = {{value:String}}"
    # A day is counted by how long before the incident's own hour the same hour was: 0 is the incident.
    rows = store.arrow(
        f"SELECT toString({axis}) AS name, "
        f"intDiv(dateDiff('hour', bucket, parseDateTimeBestEffort({{last:String}}, 'UTC')), 24) AS day, "
        f"{_SUMS[measure.numerator]} AS amount, {_SUMS[measure.denominator] if ratio else '1.'} AS weight "
        f"FROM otel.genai_rollup_hour WHERE tenant = {{tenant:String}} {mine} AND {_SPAN} "
        f"AND modulo(dateDiff('hour', bucket, parseDateTimeBestEffort({{last:String}}, 'UTC')), 24) < {hours} "
        f"GROUP BY name, day",
        {
            "tenant": one.tenant,
            "value": one.board.keys[one.row][1],
            "since": _text(window.at(first - SEASON_DAYS * 24)),
            "until": _text(window.at(last + 1)),
            "last": _text(window.at(last)),
        },
    )
    names = sorted(set(rows["name"].to_list()))
    number = {name: i for i, name in enumerate(names)}
    length = -(-hours // 24)  # days the incident itself takes
    days = SEASON_DAYS + length
    amount, weight = np.zeros((len(names), days)), np.zeros((len(names), days))
    for name, day, numerator, denominator in rows.iter_rows():
        if day < days:
            amount[number[name], day], weight[number[name], day] = numerator, denominator
    now, past = np.s_[:, :length], np.s_[:, length:]
    labels = [name or "(none)" for name in names]
    if ratio:
        return Amounts(axis, labels, amount[now].sum(1), amount[past], weight[now].sum(1), weight[past])
    return Amounts(axis, labels, amount[now].sum(1), amount[past] * length)
