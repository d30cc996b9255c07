"""Whose calls are whose, as it is written in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from otel_exporter.config.section import Broken, Section


class AttributionSettings(Section):
    """One rule: what calls it is about, and what they get."""

    match: dict[str, Any] = Field(
        default={}, description="Column -> text, or several of which one must fit; `*` and `?` stand for any text."
    )
    set: dict[str, Any] = Field(
        default={}, description="`team`, `cost_center`, `owner` ... -> text; `labels` -> a mapping."
    )
    override: bool = Field(default=False, description="Names replace what somebody said, too.")

    def broken_rules(self) -> Iterator[Broken]:
        """Columns there are, and something to set."""
        from otel_exporter.enrichment import faults

        yield from faults(self.match, self.set)


class EnrichmentSettings(Section):
    """Whose calls are whose: tables that `serve` reads again when they change."""

    rules: tuple[AttributionSettings, ...] = Field(
        default=(), description="Asked in their order, before files; the first that matches wins, field by field."
    )
    files: tuple[Path, ...] = Field(default=(), description="CSV files with more rules, a line each.")
