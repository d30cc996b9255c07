"""The demo's history, whenever it is run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from otel_exporter.demo.history import UNPRICED, calls, refusals


def test_the_last_day_has_something_of_everything() -> None:
    """At whatever hour of the week the demo runs, no panel over its last 24 hours is without the calls it shows."""
    shown = {
        "streamed": lambda call: call.reporter == "agent" and call.streamed and not call.withheld,
        "unpriced": lambda call: call.model == UNPRICED and not call.failed,
        "embedding": lambda call: call.embedding,
        "coding agent": lambda call: call.reporter == "coding agent",
        "from the gateway's cache": lambda call: call.cache_hit,
        "from the prompt cache": lambda call: call.cached_tokens > 0,
        "guarded": lambda call: call.guarded,
        "failed": lambda call: call.failed,
    }
    for hours in range(0, 7 * 24, 3):
        last_hour = datetime(2026, 11, 16, tzinfo=UTC) + timedelta(hours=hours)
        since = last_hour - timedelta(hours=23)  # the day of the dashboards ends up to an hour later
        made = [call for call in calls(last_hour, 3) if call.at >= since]
        missing = [name for name, is_one in shown.items() if not any(map(is_one, made))]
        assert missing == [], last_hour
        assert any(refusal.at >= since for refusal in refusals(last_hour, 3)), last_hour
