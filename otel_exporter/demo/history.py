"""What happened in weeks of a small company: every LLM call it made, and every request its gateway refused.

Deterministic for a given last hour: seasons of day and week, a nightly batch, a migration from one model to another,
failures with retries and fallbacks, both kinds of caching, agents, a coding agent, one model nobody has a price for,
one runaway afternoon, spans that a sampler withheld, and an application that fell silent.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

#: Who reports a call: the gateway, an instrumented application, a coding agent's log.
Reporter = Literal["gateway", "agent", "coding agent"]
Season = Literal["office", "night", "always"]
UNPRICED: Final = "acme-internal-7b"
_SONNET: Final = "claude-sonnet-4-5-20250929"
#: The runaway afternoon: this team's calls, so many times as usual, days before the end.
RUNAWAY_TEAM: Final = "support"
_RUNAWAY: Final = (1, range(14, 18), 9)
#: Days before the end at which half of the search team's calls have moved to the other model.
_MIGRATED: Final = 12
#: How long before the end the search team's model is over its rate for some minutes, and for how many requests.
_OUTAGE: Final = timedelta(hours=2, minutes=40)
_OUTAGE_REQUESTS: Final = 3


@dataclass(frozen=True)
class Call:
    """One physical call. Attempts of the same request share ``request``; ``asked`` is the model it asked for."""

    request: int
    at: datetime
    team: str
    user: str
    application: str
    reporter: Reporter
    provider: str
    model: str
    asked: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    seconds: float
    failed: bool = False
    streamed: bool = False
    cache_hit: bool = False
    guarded: bool = False
    session: str = ""
    #: Its span was sampled away: nothing but the application's own counter knows of it.
    withheld: bool = False

    @property
    def embedding(self) -> bool:
        """Whether it asked for vectors, which have no output tokens."""
        return self.model.startswith("text-embedding")


@dataclass(frozen=True)
class Refusal:
    """A request that the gateway refused before any provider was called."""

    at: datetime
    team: str
    model: str
    error: Literal["BudgetExceededError", "AuthenticationError", "ProxyRateLimitError"]
    code: int


@dataclass(frozen=True)
class Habit:
    """How a team uses LLMs: calls in a full working hour, sizes, shares of what is special."""

    team: str
    application: str
    users: tuple[str, ...]
    provider: str
    model: str
    per_hour: float
    prompt: int
    answer: int
    cached_share: float = 0.0
    repeated_share: float = 0.0
    withheld_share: float = 0.0
    season: Season = "office"
    silent_for: timedelta = timedelta(0)
    guarded: bool = False
    reporter: Reporter = "gateway"
    moves_to: tuple[str, str] | None = None
    falls_back_to: str = ""


HABITS: Final = (
    Habit(
        "support", "helpdesk-bot", ("ana", "ben"), "openai", "gpt-4o-mini", 6, 1800, 220, cached_share=0.6, guarded=True
    ),
    Habit(
        "search",
        "shop-search",
        ("eve", "max"),
        "openai",
        "gpt-4o",
        3,
        900,
        160,
        moves_to=("anthropic", _SONNET),
        falls_back_to="gpt-4o-mini",
    ),
    Habit(
        "search",
        "shop-search",
        ("eve",),
        "openai",
        "text-embedding-3-small",
        2,
        400,
        0,
        repeated_share=0.2,
        season="always",
    ),
    Habit("research", "nightly-eval", ("ivy",), "openai", "gpt-4o-mini", 40, 2500, 400, season="night"),
    Habit("checkout", "fraud-notes", ("joe",), "openai", UNPRICED, 0.4, 600, 90, season="always"),
    Habit(
        "mobile",
        "travel-app",
        ("kim", "lea"),
        "openai",
        "gpt-4o-mini",
        1.5,
        700,
        150,
        season="always",
        withheld_share=0.1,
        reporter="agent",
    ),
    Habit(
        "engineering",
        "claude-code",
        ("noa", "tom"),
        "anthropic",
        _SONNET,
        2,
        9000,
        700,
        cached_share=0.9,
        reporter="coding agent",
    ),
    Habit(
        "community",
        "comment-filter",
        ("pat",),
        "openai",
        "gpt-4o-mini",
        1,
        300,
        4,
        season="always",
        silent_for=timedelta(hours=6),
    ),
)


def calls(last_hour: datetime, days: int) -> Iterator[Call]:
    """Every call of the ``days`` before ``last_hour``; those of one request follow each other."""
    rng = random.Random(last_hour.date().toordinal())
    request = 0
    outage = last_hour - _OUTAGE
    for hour in range(days * 24):
        moment = last_hour - timedelta(days=days) + timedelta(hours=hour)
        left = (last_hour - moment) / timedelta(days=1)
        for habit in HABITS:
            for at in _moments(rng, habit, moment, left):
                request += 1
                yield from _attempts(rng, habit, _call(rng, habit, at, left, request))
        if moment <= outage < moment + timedelta(hours=1):
            yield from _limited(rng, outage, request + 1)
            request += _OUTAGE_REQUESTS


def _limited(rng: random.Random, at: datetime, request: int) -> Iterator[Call]:
    """Minutes in which the search team's model is over its rate: one try again works, others fall back."""
    habit = next(each for each in HABITS if each.falls_back_to)
    for number in range(_OUTAGE_REQUESTS):
        call = replace(_call(rng, habit, at + timedelta(minutes=2 * number), 0.0, request + number), cache_hit=False)
        yield _failed(call)
        again = _again(call)
        yield again if number == 0 else _elsewhere(again, habit)


def refusals(last_hour: datetime, days: int) -> Iterator[Refusal]:
    """What the gateway refused in the same days."""
    rng = random.Random(last_hour.date().toordinal() + 1)
    reasons = (("BudgetExceededError", 400), ("AuthenticationError", 401), ("ProxyRateLimitError", 429))
    for hour in range(0, days * 24, 5):
        at = last_hour - timedelta(days=days) + timedelta(hours=hour, seconds=rng.uniform(0, 3590))
        error, code = rng.choice(reasons)
        yield Refusal(at, rng.choice(HABITS[:3]).team, "gpt-4o", error, code)  # type: ignore[arg-type]


def _moments(rng: random.Random, habit: Habit, moment: datetime, left: float) -> list[datetime]:
    if timedelta(days=left) < habit.silent_for:
        return []
    expected = habit.per_hour * _share_of_peak(moment, habit.season)
    day, hours, times = _RUNAWAY
    if habit.team == RUNAWAY_TEAM and day <= left < day + 1 and moment.hour in hours:
        expected = habit.per_hour * times
    count = int(expected) + (rng.random() < expected % 1)
    return sorted(moment + timedelta(seconds=rng.uniform(0, 3590)) for _ in range(count))


def _share_of_peak(moment: datetime, season: Season) -> float:
    if season == "always":
        return 1.0
    if season == "night":
        return 1.0 if moment.hour == 2 else 0.0
    office = max(0.05, 1 - abs(moment.hour - 13) / 8)
    return office * (0.3 if moment.weekday() >= 5 else 1.0)


def _call(rng: random.Random, habit: Habit, at: datetime, left: float, request: int) -> Call:
    provider, model = habit.provider, habit.model
    if habit.moves_to and rng.random() < 0.5 + (_MIGRATED - left) / 12:
        provider, model = habit.moves_to
    prompt = max(16, int(rng.gauss(habit.prompt, habit.prompt / 5)))
    user = rng.choice(habit.users)
    return Call(
        request=request,
        at=at,
        team=habit.team,
        user=user,
        application=habit.application,
        reporter=habit.reporter,
        provider=provider,
        model=model,
        asked=model,
        input_tokens=prompt,
        cached_tokens=prompt // 2 if rng.random() < habit.cached_share else 0,
        output_tokens=max(1, int(rng.gauss(habit.answer, habit.answer / 4))) if habit.answer else 0,
        seconds=rng.uniform(0.3, 4.0),
        streamed=habit.answer > 0 and rng.random() < 0.5,
        cache_hit=rng.random() < habit.repeated_share,
        guarded=habit.guarded,
        withheld=rng.random() < habit.withheld_share,
        session=f"{user}-{at:%m%d}-{at.hour // 4}" if habit.reporter != "gateway" else "",
    )


def _attempts(rng: random.Random, habit: Habit, call: Call) -> Iterator[Call]:
    """The call; now and then it fails first, and most of those the gateway tries again, or another model."""
    if call.cache_hit or rng.random() > 0.02:
        yield call
        return
    yield _failed(call)
    if call.reporter == "gateway" and rng.random() < 0.7:
        again = _again(call)
        yield _elsewhere(again, habit) if habit.falls_back_to and rng.random() < 0.5 else again


def _failed(call: Call) -> Call:
    return replace(call, failed=True, input_tokens=0, cached_tokens=0, output_tokens=0, streamed=False)


def _again(call: Call) -> Call:
    return replace(call, at=call.at + timedelta(seconds=call.seconds + 0.5))


def _elsewhere(call: Call, habit: Habit) -> Call:
    return replace(call, provider="openai", model=habit.falls_back_to, asked=habit.falls_back_to)
