"""What is watched, and from which volume on it matters: the shape of the configuration, without its sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TOTAL: Final = "total"
#: What can be watched apart, and named as a cause: columns of the hourly rollup.
AXES: Final = (
    "team",
    "application",
    "user_id",
    "api_key_alias",
    "provider",
    "model",
    "requested_model",
    "organization",
    "project",
    "cost_center",
    "owner",
    "environment",
    "agent",
    "deployment_id",
)


@dataclass(frozen=True)
class Measure:
    """A metric: an hourly sum, or a ratio of two; which sums there are is said in `watch`.

    Attributes:
        name: as in `genai_anomaly.metric`.
        unit: of its values.
        numerator, denominator: names of sums; no denominator means a plain sum.
    """

    name: str
    unit: str
    numerator: str
    denominator: str = ""


MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure("cost_usd", "USD in an hour", "cost_usd"),
        Measure("calls", "calls in an hour", "calls"),
        Measure("error_rate", "of calls failed", "errors", "calls"),
        Measure("latency_ms", "ms on average", "duration_ms", "timed_calls"),
        Measure("cost_per_call_usd", "USD a call", "cost_usd", "priced_calls"),
    )
}


@dataclass(frozen=True)
class Policy:
    """What is an incident. Volumes are of one hour.

    Attributes:
        metrics: names of `MEASURES`.
        axes: `TOTAL` and any of `AXES`; each value of an axis is a series of its own.
        causes: axes whose values are named as contributors.
        sensitivity: 1 as measured on NAB; 2 asks for half as much novelty.
        min_ratio: observed must be so many times the expected.
        min_usd: spend beyond the expected that matters.
        min_calls: calls in the hour from which a count or a ratio means something.
        min_errors: failed calls from which an error rate means something.
        min_history_days: a series younger than this is only learnt.
        most: series at most on an axis, those with the most calls.
        session_usd: spend of one session within an hour from which it can be a runaway.
        session_calls: the same in calls.
    """

    metrics: tuple[str, ...] = tuple(MEASURES)
    axes: tuple[str, ...] = (TOTAL, "team")
    causes: tuple[str, ...] = ("team", "application", "user_id", "api_key_alias", "model")
    sensitivity: float = 1.0
    min_ratio: float = 2.0
    min_usd: float = 5.0
    min_calls: int = 20
    min_errors: int = 5
    min_history_days: int = 7
    most: int = 200
    session_usd: float = 5.0
    session_calls: int = 30
