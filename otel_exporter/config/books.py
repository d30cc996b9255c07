"""The books as they are written in the configuration."""

from __future__ import annotations

from pydantic import Field

from otel_exporter.config.budgets import TimeZone
from otel_exporter.config.section import Section


class BookSettings(Section):
    """How periods are closed."""

    timezone: TimeZone = Field(default="UTC", description="Whose midnight a month of the books begins at.")
