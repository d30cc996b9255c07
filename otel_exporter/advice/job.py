"""Advice once a day, as rows of `genai_advice`: the Spend dashboard shows the five largest."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import polars as pl

from clickhouse_schema.tables import DERIVED
from forecasting import results
from otel_exporter.advice import history
from otel_exporter.advice.advise import advise
from otel_exporter.advice.finding import Finding
from otel_exporter.asking import bounded
from otel_exporter.schedule import Job

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.config.advice import AdviceSettings
    from processors.post import Price

TABLE: Final = "genai_advice"
#: Rows kept of one run, for each tenant.
_MOST: Final = 20
_DELAY: Final = timedelta(minutes=10)  # what serves comes first
_DAYS: Final = """SELECT toDate(started_at) AS day, count() AS calls FROM otel.genai_calls
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
GROUP BY day ORDER BY day DESC"""


def jobs(said: AdviceSettings, store: Store, price: Price) -> list[Job]:
    """What the settings want."""

    def run(now: datetime, _stopping: threading.Event) -> None:
        look(store, price, said, now)

    return [Job("advice", timedelta(days=1), run, _DELAY)] if said.days else []


def look(store: Store, price: Price, said: AdviceSettings, now: datetime) -> None:
    """Write what would have been cheaper in the last days; a run that finds nothing writes nothing."""
    since = _since(store, said, now)
    found = advise(history.History(bounded(store), since, now), price)
    best = sorted(found, key=lambda one: -one.saved_usd)
    kept = [one for tenant in {one.tenant for one in best} for one in [o for o in best if o.tenant == tenant][:_MOST]]
    if kept:
        results.write(store, rows(kept, since, now), f"{TABLE}/{uuid4()}", TABLE)


def _since(store: Store, said: AdviceSettings, now: datetime) -> datetime:
    """The first moment of the days looked at: as many, back from now, as have not too many calls."""
    since, room = now - timedelta(days=said.days), said.most_calls
    for day, calls in store.arrow(_DAYS, {"since": since, "until": now}).iter_rows():
        room -= calls
        if room < 0:
            return max(since, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1))
    return since


def rows(found: Sequence[Finding], since: datetime, now: datetime) -> pl.DataFrame:
    """Findings as rows of the table."""
    schema = DERIVED[TABLE]
    said = {"computed_at": now, "since": since, "until": now}
    records = [{name: said.get(name, getattr(one, name, None)) for name in schema} for one in found]
    return pl.DataFrame(records, schema=schema)
