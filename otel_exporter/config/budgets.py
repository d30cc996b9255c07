"""Budgets as they are written in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from otel_exporter.config.section import Broken, Section
from otel_exporter.config.values import Tenant


def zone(name: str) -> str:
    """A time zone's name. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("must be the name of a time zone such as Europe/Berlin") from None
    return name


TimeZone = Annotated[str, AfterValidator(zone)]
Dollars = Annotated[Decimal, Field(gt=0, max_digits=26, decimal_places=12)]


class BudgetSettings(Section):
    """What a team, a model, a project ... may spend in a period."""

    name: str = Field(min_length=1, max_length=200, description="As tables and alerts call it.")
    tenant: Tenant | None = Field(default=None, description="Whose spending; unset: `ingest.tenant`.")
    labels: dict[str, str] = Field(
        default={}, description="What it covers, such as `{team: search, model: gpt-4o}`; none: everything."
    )
    period: Literal["day", "week", "month", "quarter", "custom"] = Field(
        default="month", description="How often it begins anew; `custom`: once, from `start` to `end`."
    )
    timezone: TimeZone = Field(default="UTC", description="Whose midnight a period begins at.")
    start: date | None = Field(default=None, description="First day of a `custom` period.")
    end: date | None = Field(default=None, description="Last day of a `custom` period.")
    soft_usd: Dollars | None = Field(default=None, description="Dollars you want to stay below.")
    hard_usd: Dollars | None = Field(
        default=None, description="Dollars that must not be passed; outlook and alerts are about it if there is one."
    )
    owner: str = Field(default="", description="Who is told: the label `owner` of its alerts.")

    def broken_rules(self) -> Iterator[Broken]:
        """A budget has a limit, labels there are, and a period with two ends."""
        from forecasting.budgets import MONTH
        from forecasting.labels import LABELS

        if self.name == MONTH:
            yield ("name",), f"{MONTH} is the outlook every tenant has: choose another"
        for label, value in self.labels.items():
            if label not in LABELS:
                yield ("labels", label), f"is no label: one of {', '.join(LABELS)}"
            elif not value:
                yield ("labels", label), "must not be empty"
        if self.soft_usd is None and self.hard_usd is None:
            yield ("hard_usd",), "is required (or soft_usd)"
        elif self.soft_usd is not None and self.hard_usd is not None and self.soft_usd > self.hard_usd:
            yield ("soft_usd",), "must be at most hard_usd"
        yield from self._broken_dates()

    def _broken_dates(self) -> Iterator[Broken]:
        for name, said in (("start", self.start), ("end", self.end)):
            if said is None and self.period == "custom":
                yield (name,), "is required for a custom period"
            elif said is not None and self.period != "custom":
                yield (name,), "is for custom periods only"
        if self.start and self.end and self.end < self.start:
            yield ("end",), "must not be before start"
