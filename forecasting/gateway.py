"""Budgets nobody configured here: the limits LiteLLM has for keys, users and teams, as its spans told (`genai_limits`).

A span says the limit, what the gateway counted so far, and (for keys) when that is set back; not how long a period is.
That follows from the moment of the last reset, or, before one was seen, from how early the next one was announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from forecasting.budgets import Budget, Counted
from forecasting.periods import CALENDAR, Span, span

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: scope -> the column it narrows spending to.
_COLUMNS: Final = {"key": "api_key_hash", "user": "user_id", "team": "team_id"}
#: A limit nobody showed for so long is forgotten: the key is gone or unused.
_FORGOTTEN: Final = timedelta(days=40)
#: What is foreseen of a budget that is never set back.
_LIFETIME_AHEAD: Final = timedelta(days=35)
_PERIODS: Final = {"day": 1, "week": 7, "month": 31, "quarter": 92}
_SLACK: Final = timedelta(hours=26)  # a gateway resets in a time zone of its own, minutes late
_LIMITS: Final = """
SELECT tenant, scope, id, argMax(alias, observed_at) AS name, argMax(tuple(max_budget_usd), observed_at).1 AS budget,
  argMax(tuple(spend_usd), observed_at).1 AS spend, any(newest_reset) AS reset,
  max(observed_at) AS seen, min(observed_at) AS first_seen,
  maxIf(reset_at, reset_at < newest_reset) AS reset_before, minIf(observed_at, reset_at = newest_reset) AS announced
FROM (
  SELECT tenant, scope, id, alias, max_budget_usd, spend_usd, reset_at, observed_at,
    argMax(tuple(reset_at), observed_at) OVER (PARTITION BY tenant, scope, id).1 AS newest_reset
  FROM otel.genai_limits
  WHERE scope IN ('key', 'user', 'team') AND id != '' AND max_budget_usd IS NOT NULL
    AND observed_at <= parseDateTimeBestEffort({now:String}, 'UTC')
)
GROUP BY tenant, scope, id
HAVING budget > 0 AND seen > parseDateTimeBestEffort({since:String}, 'UTC')
ORDER BY ifNull(spend, 0) / budget DESC, tenant, scope, id
LIMIT {most:UInt32}
"""


def budgets(store: Store, now: datetime, most: int) -> list[Budget]:
    """The gateway's budgets as last seen, those nearest to their limit first, at most ``most``."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    asked = {"now": now.strftime(form), "since": (now - _FORGOTTEN).strftime(form), "most": most}
    return [_budget(row, now) for row in store.arrow(_LIMITS, asked).iter_rows(named=True)]


def _budget(row: Mapping[str, Any], now: datetime) -> Budget:
    period, current = _period(row, now)
    counted = None
    if row["spend"] is not None and row["seen"] >= current.start:
        counted = Counted(Decimal(row["spend"]), row["seen"])
    return Budget(
        name=row["name"] or row["id"],
        tenant=row["tenant"],
        period=period,
        timezone="UTC",
        span=current,
        source="gateway",
        labels={_COLUMNS[row["scope"]]: row["id"]},
        hard_usd=Decimal(row["budget"]),
        counted=counted,
    )


def _period(row: Mapping[str, Any], now: datetime) -> tuple[str, Span]:
    reset = row["reset"]
    if reset is None:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return "lifetime", Span(row["first_seen"].replace(microsecond=0), midnight + _LIFETIME_AHEAD)
    reset = reset.replace(microsecond=0)
    before = row["reset_before"]
    length = reset - before if before else None
    period = period_of(reset, reset - row["announced"], length)
    if period == "custom" and length:
        return period, rolled(Span(reset - length, reset), now)
    inside = reset - timedelta(seconds=1) if reset > now else now
    return period, _calendar(period, reset, inside)


def period_of(reset: datetime, announced: timedelta, length: timedelta | None) -> str:
    """How often a budget is set back.

    Args:
        reset: when it is set back next.
        announced: how long before that was the first time the gateway said so.
        length: from the reset before, if one was seen.
    """
    if length is None:
        return next((name for name, days in _PERIODS.items() if announced <= timedelta(days=days) + _SLACK), "quarter")
    shortest = {"day": 1, "week": 7, "month": 28, "quarter": 90}
    for name in CALENDAR:
        if timedelta(days=shortest[name]) - _SLACK / 13 <= length <= timedelta(days=_PERIODS[name]) + _SLACK / 13:
            return name
    return "custom"


def _calendar(period: str, reset: datetime, inside: datetime) -> Span:
    """The period ``inside`` lies in. Resets at a UTC calendar's beginning follow the calendar, others their own day."""
    calendar = span(period, "UTC", reset)
    if calendar.start == reset:
        return span(period, "UTC", inside)
    return rolled(Span(reset - timedelta(days=_PERIODS[period]), reset), inside)


def rolled(first: Span, now: datetime) -> Span:
    """The span as long as ``first``, whole lengths of it later, that ``now`` lies in; never an earlier one."""
    times = max((now - first.start) // first.length, 0)
    return Span(first.start + times * first.length, first.end + times * first.length)
