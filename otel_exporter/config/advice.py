"""Advice as it is asked for in the configuration."""

from __future__ import annotations

from pydantic import Field

from otel_exporter.config.section import Section


class AdviceSettings(Section):
    """What would have been cheaper, looked for once a day for the Spend dashboard."""

    days: int = Field(default=30, ge=0, le=400, description="Days of calls it looks at; 0: never.")
    most_calls: int = Field(
        default=300_000, gt=0, description="Calls it looks at; where there are more, only the newest days."
    )
