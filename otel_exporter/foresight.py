"""Foresight inside `serve`: forecasts, the outlook of budgets, and anomalies, on a schedule."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog

from otel_exporter.schedule import Job
from otel_exporter.telemetry import Metric

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.budgets import Budget
    from otel_exporter.config import Settings
    from otel_exporter.config.budgets import BudgetSettings

log = structlog.get_logger(__name__)
FORECAST: Final = "forecast"
BUDGETS: Final = "budgets"
ANOMALIES: Final = "anomalies"
#: Nothing new is written again after so long, so that a reader of the last hours finds it.
_REPEATED: Final = timedelta(hours=1)
_TENANTS: Final = """SELECT DISTINCT tenant FROM otel.genai_rollup_hour
WHERE bucket >= parseDateTimeBestEffort({since:String}, 'UTC') AND calls != 0"""
_FIRST_LOOK: Final = timedelta(days=7)  # how far back anomalies are looked for when the service starts
_QUIET: Final = timedelta(days=40)  # a tenant that was silent for so long has no outlook


class Foresight:
    """The jobs; they share what was written last."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._writing = threading.Lock()
        self._written: dict[tuple[str, str], dict[str, Any]] = {}
        self._complete: datetime | None = None
        self._sources: set[str] = set()

    def jobs(self) -> list[Job]:
        """What the settings want."""
        said = self._settings.forecast
        delay = timedelta(seconds=said.delay_seconds)
        jobs = []
        if said.scheduled:
            jobs.append(Job(FORECAST, timedelta(hours=1), self.forecast, delay))
        if self._settings.anomalies.enabled:
            jobs.append(Job(ANOMALIES, timedelta(minutes=1), self._detection(), delay))
        if said.outlook_minutes:
            jobs.append(Job(BUDGETS, timedelta(minutes=said.outlook_minutes), self.outlook))
        return jobs

    def _detection(self) -> Callable[[datetime, threading.Event], None]:
        """The detectors, which keep what they have learnt between runs."""
        from forecasting.anomalies.detect import SETTLED, Detector
        from otel_exporter.anomalies import policy

        detector = Detector(policy(self._settings))
        last: list[datetime] = []

        def detect(now: datetime, _stopping: threading.Event) -> None:
            seen = last[-1] - SETTLED if last else now - _FIRST_LOOK
            outcome = detector(self._store, now, min(seen, now - SETTLED))
            last[:] = [now]
            Metric.INCIDENTS.set(sum(one.ended_at is None for one in outcome.incidents))

        return detect

    def forecast(self, now: datetime, stopping: threading.Event) -> None:
        """Forecast what is due, in another process, and look at the budgets again."""
        from forecasting import rounds
        from forecasting.apart import Apart, Stopped

        said = self._settings.forecast
        plan = rounds.Plan(said.axes, said.most, said.prophet_series, said.country)
        try:
            with Apart(stopping) as apart:
                outcome = rounds.forecast(self._store, plan, budgets(self._settings, self._store, now), now, apart)
        except Stopped:
            return
        Metric.FORECASTS.add(outcome.forecasts, outcome="ok")
        Metric.FORECASTS.add(len(outcome.failed), outcome="failed")
        for name, why in outcome.failed.items():
            log.warning("a series cannot be forecast", series=name, why=why)
        if said.outlook_minutes and outcome.forecasts:
            self.outlook(datetime.now(UTC), stopping)

    def outlook(self, now: datetime, _stopping: threading.Event) -> None:
        """Write how each budget stands, where that is news."""
        from forecasting import results, standing

        with self._writing:
            began = datetime.now(UTC)
            found = standing.rows(self._store, budgets(self._settings, self._store, now), now)
            news = found if self._is_due(now) else standing.changed(found, self._written)
            if news:
                frame = standing.frame(news, now, began)
                results.write(self._store, frame, f"{standing.TABLE}/{uuid4()}", standing.TABLE)
            self._written |= {(row["tenant"], row["budget"]): row for row in news}
        self._count(Counter(row["source"] for row in found))

    def _is_due(self, now: datetime) -> bool:
        """Whether everything is to be written, news or not."""
        if self._complete is not None and now - self._complete < _REPEATED:
            return False
        self._complete = now
        return True

    def _count(self, sources: Counter[str]) -> None:
        self._sources |= set(sources)
        for source in self._sources:
            Metric.BUDGETS.set(sources[source], source=source)


def budgets(settings: Settings, store: Store, now: datetime) -> list[Budget]:
    """Every budget there is: the configuration's, the gateway's, and a plain month for each tenant."""
    from forecasting.budgets import combined
    from forecasting.gateway import budgets as of_gateway

    configured = [one for said in settings.budgets if (one := budget(said, settings.ingest.tenant, now)) is not None]
    most = settings.forecast.gateway_budgets
    since = (now - _QUIET).strftime("%Y-%m-%dT%H:%M:%SZ")
    tenants = store.arrow(_TENANTS, {"since": since})["tenant"].to_list()
    return combined(configured, of_gateway(store, now, most) if most else [], tenants, now)


def budget(said: BudgetSettings, tenant: str, now: datetime) -> Budget | None:
    """A configured budget in its present period; None for a custom one that is over or has not begun."""
    from forecasting import periods
    from forecasting.budgets import Budget

    if said.period == "custom":
        assert said.start and said.end
        span = periods.days(said.start, said.end, said.timezone)
        if not span.start <= now < span.end:
            return None
    else:
        span = periods.span(said.period, said.timezone, now)
    return Budget(
        name=said.name,
        tenant=said.tenant or tenant,
        period=said.period,
        timezone=said.timezone,
        span=span,
        source="config",
        labels=dict(said.labels),
        soft_usd=said.soft_usd,
        hard_usd=said.hard_usd,
        owner=said.owner,
    )
