"""What is forecast, and what is watched for anomalies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from otel_exporter.config.section import Section

#: As `forecasting.rollups.AXES`, which would bring the models' libraries with it; a test compares the two.
SeriesAxis = Literal[
    "total", "tenant", "organization", "team", "project", "cost_center", "owner", "user_id", "api_key_alias",
    "application", "agent", "provider", "model", "requested_model", "environment", "deployment_id",
]  # fmt: skip


class ForecastSettings(Section):
    """What forecasts may know and cost."""

    country: str = Field(
        default="",
        pattern=r"^([A-Z]{2})?$",
        description="Country (ISO 3166, `DE`) whose holidays Prophet takes into account; empty: none.",
    )
    prophet_series: int = Field(
        default=20, ge=0, description="Prophet takes part in daily forecasts of so many of the largest series."
    )
    scheduled: bool = Field(
        default=True, description="Forecast while `serve` runs, every hour, in a process of its own at low priority."
    )
    axes: tuple[SeriesAxis, ...] = Field(
        default=("total", "team", "model"),
        description="What `serve` forecasts apart: spend by day and by hour of each value, and of every budget.",
    )
    most: int = Field(default=50, ge=1, description="Series of an axis that `serve` forecasts at most, largest first.")
    delay_seconds: int = Field(
        default=30, ge=0, description="Seconds after the start before the first forecast and search for anomalies."
    )
    outlook_minutes: int = Field(
        default=5, ge=0, le=1440, description="Minutes between two outlooks of budgets (`genai_budget`); 0: none."
    )
    gateway_budgets: int = Field(
        default=200,
        ge=0,
        description="Budgets of LiteLLM's that are taken over at most, nearest to their limit first; 0: none.",
    )


Metric = Literal["cost_usd", "calls", "error_rate", "latency_ms", "cost_per_call_usd"]
Axis = Literal[
    "team", "application", "user_id", "api_key_alias", "provider", "model", "requested_model", "organization",
    "project", "cost_center", "owner", "environment", "agent", "deployment_id",
]  # fmt: skip


class AnomalySettings(Section):
    """What is watched for anomalies, and from which volume on it matters (docs/anomalies.md)."""

    enabled: bool = Field(default=True, description="Look for anomalies while `serve` runs, every minute.")
    metrics: tuple[Metric, ...] = Field(
        min_length=1,
        default=("cost_usd", "calls", "error_rate", "latency_ms", "cost_per_call_usd"),
        description="Metrics that are watched, by the hour.",
    )
    axes: tuple[Literal["total"] | Axis, ...] = Field(
        default=("total", "team"), description="What is watched apart: `total`, and each value of these columns."
    )
    causes: tuple[Axis, ...] = Field(
        default=("team", "application", "user_id", "api_key_alias", "model"),
        description="Columns whose values are named as the cause of an incident.",
    )
    sensitivity: float = Field(
        default=1.0, gt=0, le=10, description="2 reports what is half as far from everything seen before, 0.5 twice."
    )
    min_ratio: float = Field(default=2.0, ge=1, description="How many times the expected it takes at least.")
    min_usd: float = Field(default=5.0, ge=0, description="Spend of an hour beyond the expected that matters, USD.")
    min_calls: int = Field(
        default=20, ge=1, description="Calls of an hour beyond the expected that matter, and that a ratio needs."
    )
    min_errors: int = Field(default=5, ge=1, description="Failed calls of an hour that an error rate needs.")
    min_history_days: int = Field(default=7, ge=1, description="Days a series is only learnt before it is judged.")
    most: int = Field(default=200, ge=1, description="Series of an axis at most, those with the most calls.")
    session_usd: float = Field(
        default=5.0, ge=0, description="Spend of one session within an hour from which it can be a runaway, USD."
    )
    session_calls: int = Field(default=30, ge=2, description="Calls within an hour from which it can be a loop.")
