"""What the service writes about itself."""

from __future__ import annotations

from pydantic import Field

from otel_exporter.config.section import Section


class SelfMonitoringSettings(Section):
    """Its own metrics in its own store."""

    enabled: bool = Field(
        default=True,
        description="Write what `/metrics` says into `otel_metrics_*`, for the *Pipeline health* dashboard. Pauses by "
        "itself while a Collector that reads `/metrics` sends it here.",
    )
    interval_seconds: int = Field(default=60, ge=1, le=3600, description="Seconds between two points of each series.")
