"""What a budget is: whose spending it covers, from when to when, and how much of it there may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from forecasting import periods
from forecasting.frequency import DAY, HOUR, Frequency
from forecasting.labels import text
from forecasting.periods import Span
from forecasting.series import Key

#: Name of the plain outlook every tenant has.
MONTH: Final = "month"
#: The series of a label set, in `genai_forecast.axis`.
AXIS: Final = "budget"
#: Budgets shorter than this are forecast by the hour.
_SHORT: Final = timedelta(days=3)
#: Hours that forecasts by the hour reach at least, when they are for budgets.
_HOURS: Final = 48

Source = Literal["config", "gateway", "outlook"]


@dataclass(frozen=True)
class Counted:
    """What the gateway itself counted as spent, and when it said so."""

    usd: Decimal
    at: datetime


@dataclass(frozen=True)
class Budget:
    """A budget in one of its periods.

    Attributes:
        labels: column (`forecasting.labels`) -> value; none: everything of the tenant.
        period: day, week, month, quarter, custom, or lifetime (of a gateway's key that is never reset).
        span: the period that is looked at.
        soft_usd, hard_usd: limits; neither: a plain outlook.
        counted: the gateway's own counter, if it has one.
    """

    name: str
    tenant: str
    period: str
    timezone: str
    span: Span
    source: Source
    labels: dict[str, str] = field(default_factory=dict)
    soft_usd: Decimal | None = None
    hard_usd: Decimal | None = None
    owner: str = ""
    counted: Counted | None = None

    @property
    def limit(self) -> Decimal | None:
        """The limit that counts: the hard one if there is one."""
        return self.soft_usd if self.hard_usd is None else self.hard_usd

    @property
    def frequency(self) -> Frequency:
        """The step its forecast has."""
        return HOUR if self.span.length <= _SHORT else DAY

    @property
    def key(self) -> Key:
        """Its series: budgets with the same labels share one."""
        axis, value = ("total", "") if not self.labels else (AXIS, text(self.labels))
        return Key(self.tenant, "cost_usd", axis, value)

    def horizon(self, as_of: datetime) -> int:
        """Buckets from ``as_of`` that reach the period's end."""
        steps = -((as_of - self.span.end) // self.frequency.step)
        return max(int(steps), _HOURS if self.frequency is HOUR else self.frequency.horizon)


def month(tenant: str, now: datetime) -> Budget:
    """The plain outlook of a tenant: how this month will end, without a limit."""
    return Budget(MONTH, tenant, "month", "UTC", periods.span("month", "UTC", now), "outlook")


def combined(
    configured: Iterable[Budget], gateway: Iterable[Budget], tenants: Iterable[str], now: datetime
) -> list[Budget]:
    """All budgets, each under a name of its own.

    The configuration wins over the gateway where both cover the same. A gateway's name that is taken gets its labels
    added: a key and a team may have the same alias.
    """
    said = list(configured)
    covered = {(one.tenant, text(one.labels)) for one in said}
    others = [one for one in gateway if (one.tenant, text(one.labels)) not in covered]
    taken = {(one.tenant, one.name) for one in said}
    return [*said, *_named(others, taken), *(month(tenant, now) for tenant in sorted(set(tenants)))]


def _named(budgets: Sequence[Budget], taken: set[tuple[str, str]]) -> Iterator[Budget]:
    for one in budgets:
        known = (one.tenant, one.name) in taken or one.name == MONTH
        named = replace(one, name=f"{one.name} ({text(one.labels)})") if known else one
        taken.add((named.tenant, named.name))
        yield named
