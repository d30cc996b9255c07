"""A month of five teams, made up with a seed: offices, nights, a nightly batch, a budget that will not do, a spike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from clickhouse_schema import runner
from clickhouse_schema.store import Store

SINCE: Final = datetime(2026, 10, 1, tzinfo=UTC)
UNTIL: Final = datetime(2026, 10, 31, tzinfo=UTC)
#: History that forecasts and habits are learnt from.
BEFORE: Final = timedelta(weeks=8)
#: For an hour a loop makes one team spend twenty times as much as it does on such a Tuesday afternoon.
SPIKE: Final = datetime(2026, 10, 13, 14, tzinfo=UTC)
SPIKED: Final = "research"
OVERRUN: Final = "growth"
_HOUR: Final = timedelta(hours=1)
_COST: Final = 0.08  # dollars a call, in the mean


@dataclass(frozen=True)
class Team:
    """How many calls an hour: on working days from eight to six, otherwise; by a batch at 02:00; more each day.

    Attributes:
        spike: so many times as much from `SPIKE` on, for ``spike_hours``.
        bursts: calls of an agent, all within five minutes, so often in an hour of work, each of thirty calls.
        wanders: the batch begins up to so many hours later, another each night.
    """

    office: float
    night: float
    batch: float = 0.0
    growth: float = 0.0
    budget_usd: float = 0.0
    spike: float = 1.0
    spike_hours: int = 1
    bursts: float = 0.0
    wanders: int = 0


TEAMS: Final = {
    "search": Team(office=25, night=3, budget_usd=750),
    "support": Team(office=14, night=10, budget_usd=850),
    "data": Team(office=2, night=0.5, batch=230, budget_usd=750),
    SPIKED: Team(office=12, night=1.5, budget_usd=420, spike=20),
    OVERRUN: Team(office=20, night=4, growth=0.008, budget_usd=530),
}


def config(teams: Mapping[str, Team] = TEAMS) -> str:
    """The configuration: a budget for each."""
    return "forecast: {outlook_minutes: 15}\nbudgets:\n" + "".join(
        f"  - {{name: {name}, labels: {{team: {name}}}, period: month, hard_usd: {team.budget_usd:g}}}\n"
        for name, team in teams.items()
    )


def calls(seed: int, teams: Mapping[str, Team] = TEAMS) -> pl.DataFrame:
    """Every call with its team, beginning and cost, in order."""
    rng = np.random.default_rng(seed)
    parts = [_calls(rng, name, team) for name, team in teams.items()]
    return pl.concat(parts).sort("started_at")


def _calls(rng: np.random.Generator, name: str, team: Team) -> pl.DataFrame:
    start = SINCE - BEFORE
    hours = np.arange((UNTIL - start) // _HOUR)
    rates = np.array([_rate(team, start + int(hour) * _HOUR) for hour in hours])
    counts = rng.poisson(rates * rng.lognormal(0, 0.15, len(hours)))
    seconds = np.repeat(hours * 3600, counts) + _within(rng, team, np.repeat(hours, counts))
    if team.wanders:
        late = rng.uniform(0, team.wanders * 3600, len(hours) // 24 + 1)
        seconds = np.where(seconds // 3600 % 24 == 2, seconds + late[(seconds // 86400).astype(int)], seconds)
    if team.bursts:
        seconds = np.concatenate([seconds, _bursts(rng, team, start, hours)])
    cost = np.round(rng.lognormal(np.log(_COST) - 0.32, 0.8, len(seconds)), 6)
    at = np.datetime64(start.replace(tzinfo=None), "us") + (seconds * 1e6).astype("timedelta64[us]")
    session = rng.integers(0, max(len(at) // 6, 1), len(at))
    return pl.DataFrame({"started_at": at, "cost_usd": cost, "session": session}).with_columns(team=pl.lit(name))


def _rate(team: Team, at: datetime) -> float:
    working = at.weekday() < 5 and 8 <= at.hour < 18
    rate = team.office if working else team.night
    rate += team.batch if at.hour == 2 else 0.0
    rate *= (1 + team.growth) ** max((at - SINCE).days, 0)
    return rate * (team.spike if SPIKE <= at < SPIKE + team.spike_hours * _HOUR else 1)


def _within(rng: np.random.Generator, team: Team, hours: np.ndarray) -> np.ndarray:
    """Seconds into the hour; the batch is over in twenty minutes."""
    batch = (team.batch > 0) & (hours % 24 == 2)
    return rng.uniform(0, np.where(batch, 1200, 3600), len(hours))


def _bursts(rng: np.random.Generator, team: Team, start: datetime, hours: np.ndarray) -> np.ndarray:
    """Seconds since the start of what agents call, at work on working days."""
    at = [start + int(hour) * _HOUR for hour in hours]
    working = np.array([one.weekday() < 5 and 8 <= one.hour < 18 for one in at])
    begins = np.repeat(hours[working], rng.poisson(team.bursts, int(working.sum()))) * 3600.0
    begins += rng.uniform(0, 3600, len(begins))
    return np.asarray((begins[:, None] + rng.uniform(0, 300, (len(begins), 30))).ravel())


def write(directory: Path, made: pl.DataFrame) -> None:
    """Post these calls to a new database."""
    file = directory.with_suffix(".parquet")
    made.with_columns(pl.col("started_at").dt.replace_time_zone("UTC")).write_parquet(file)
    with Store.embedded(directory) as store:
        runner.apply(store)
        store.command(
            f"""INSERT INTO otel.genai_ledger (call_key, request_key, tenant, started_at, ended_at, posted_at, team,
                application, provider, model, requested_model, session_id, status, input_tokens, output_tokens,
                cost_usd, sign)
            SELECT concat(team, toString(rowNumberInAllBlocks())) AS name, name, 'default', started_at, started_at,
                now(), team, concat(team, '-app'), 'openai', 'gpt-5', 'gpt-5', concat(team, toString(session)), 'ok',
                1000, 100, toDecimal128(cost_usd, 6), 1
            FROM file('{file}', Parquet)"""
        )
    file.unlink()


def exhausted(made: pl.DataFrame, team: str) -> datetime:
    """When the team's budget was gone."""
    mine = made.filter((pl.col("team") == team) & (pl.col("started_at") >= SINCE.replace(tzinfo=None)))
    gone = mine.filter(pl.col("cost_usd").cum_sum() >= TEAMS[team].budget_usd)
    return gone["started_at"][0].replace(tzinfo=UTC)
