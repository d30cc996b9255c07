"""A replay's own database: what was called is copied, what was foreseen and found is worked out again as of then.

Nothing is written where the data are. In the copy a call counts from its beginning on, whenever it was reported:
forecasts, outlooks of budgets, incidents and rules see what had happened up to their moment and nothing later.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alerting.replay import Progress, Replayed, replay
from alerting.rules import Fault, Group
from otel_exporter.asking import PARQUET, asking
from processors.contract import LEDGER_SCHEMA

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.asking import AskIn
    from otel_exporter.config import Settings

Say = Callable[[str], None]
_DAY: Final = timedelta(days=1)
#: Rules look back so far at calls; what is older is copied as sums.
_CALLS_BEFORE: Final = timedelta(days=8)
#: The longest period of the calendar, and the weeks before it that its shape is learnt from.
_HOURS_BEFORE: Final = timedelta(days=92, weeks=8)
_DAYS_BEFORE: Final = timedelta(days=800)
_LIMITS_BEFORE: Final = timedelta(days=45)
#: Of a call, what no rule reads and what takes most of the room.
_BULKY: Final = ("said", "handles", "observation_ids")
_REWRITTEN: Final = {"posted_at": "toDateTime64(started_at, 3, 'UTC')"}
_FILLED: Final = frozenset({"genai_ledger", "genai_limits", "genai_budget", "genai_forecast", "genai_anomaly"})
_TABLES: Final = """SELECT name FROM system.tables
WHERE database = 'otel' AND engine NOT IN ('MaterializedView', 'View')
    AND name NOT LIKE 'genai\\_rollup\\_%' AND name != 'genai_values'"""
#: An incident of an hour is known when that hour is over; then it counts for the rule's own hour.
_KNOWN_LATER: Final = """INSERT INTO otel.genai_anomaly
SELECT * REPLACE (started_at + INTERVAL 1 HOUR AS started_at,
    greatest(ended_at, started_at + INTERVAL 1 HOUR) AS ended_at,
    toDateTime64(ifNull(ended_at, started_at + INTERVAL 1 HOUR), 3, 'UTC') AS updated_at,
    concat(incident_id, '/known') AS incident_id)
FROM otel.genai_anomaly FINAL"""


@dataclass(frozen=True)
class Wish:
    """What is replayed: rules over the time from ``since`` to ``until``, every ``step``."""

    since: datetime
    until: datetime
    step: timedelta

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Both ends, on the minute."""
        return self.since.replace(second=0, microsecond=0), self.until.replace(second=0, microsecond=0)


def replayed(
    settings: Settings, groups: Sequence[Group], wish: Wish, say: Say = lambda _: None, progress: Progress | None = None
) -> Replayed:
    """What these rules would have done. Works beside a running `serve`; ``say`` is told what is going on.

    Raises:
        Refused: there are no data yet.
    """
    with tempfile.TemporaryDirectory(prefix="tokentide-replay-") as directory:
        say("copying calls")
        with asking(settings) as ask:
            files = list(_copied(ask, wish, Path(directory)))
        with _filled(Path(directory) / "store", files) as store:
            _foresee(settings, store, wish, say)
            say("asking the rules")
            return _asked(settings, store, groups, wish, progress)


def _copied(ask: AskIn, wish: Wish, directory: Path) -> Iterator[tuple[str, str, Path]]:
    """Table, columns and file of each part, in the order they are to be inserted."""
    since, until = wish.span
    calls, hours, days = (_midnight(since - back) for back in (_CALLS_BEFORE, _HOURS_BEFORE, _DAYS_BEFORE))
    columns = [name for name in LEDGER_SCHEMA if name not in _BULKY]
    said = ", ".join(f"{_REWRITTEN[name]} AS {name}" if name in _REWRITTEN else name for name in columns)
    ledger = f"SELECT {said} FROM (SELECT * FROM genai_ledger FINAL WHERE sign = 1 AND {_within('started_at')})"
    for start, end in _days(calls, until + timedelta(minutes=1)):
        yield "genai_ledger", ", ".join(columns), _file(ask, directory, ledger, start, end)
    for table, start, end in (("hour", hours, calls), ("day", days, hours)):
        sql = f"SELECT * FROM genai_rollup_{table} WHERE {_within('bucket')}"
        yield f"genai_rollup_{table}", "", _file(ask, directory, sql, start, end)
    limits = f"SELECT * FROM genai_limits WHERE {_within('observed_at')}"
    for start, end in _days(_midnight(since - _LIMITS_BEFORE), until):
        yield "genai_limits", "", _file(ask, directory, limits, start, end)


def _within(column: str) -> str:
    return f"{column} >= {{since:DateTime('UTC')}} AND {column} < {{until:DateTime('UTC')}}"


def _days(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        yield since, min(since + _DAY, until)
        since += _DAY


def _file(ask: AskIn, directory: Path, sql: str, since: datetime, until: datetime) -> Path:
    form = "%Y-%m-%d %H:%M:%S"
    file = directory / f"{len(list(directory.iterdir()))}.parquet"
    file.write_bytes(ask(sql, {"since": since.strftime(form), "until": until.strftime(form)}, PARQUET))
    return file


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@contextmanager
def _filled(directory: Path, files: Sequence[tuple[str, str, Path]]) -> Iterator[Store]:
    from clickhouse_schema import runner
    from clickhouse_schema.store import Store

    with Store.embedded(directory) as store:
        runner.apply(store)
        store.command("SYSTEM STOP TTL MERGES")
        for table, columns, file in files:
            into = f"otel.{table}" + (f" ({columns})" if columns else "")
            store.command(f"INSERT INTO {into} FROM INFILE '{file}' FORMAT Parquet")
            file.unlink()
        for table in ("genai_ledger", "genai_rollup_minute", "genai_rollup_hour", "genai_limits"):
            store.command(f"OPTIMIZE TABLE otel.{table} FINAL")
        yield store


def _foresee(settings: Settings, store: Store, wish: Wish, say: Say) -> None:
    """Forecasts, outlooks and incidents, as the service's jobs would have made them."""
    from forecasting import hindsight
    from forecasting.anomalies.detect import detect
    from otel_exporter.anomalies import policy
    from otel_exporter.foresight import budgets

    since, until = wish.span
    minutes = settings.forecast.outlook_minutes
    if minutes:
        if settings.forecast.scheduled:
            say("forecasting each day's budgets")
            hindsight.forecasts(store, lambda moment: budgets(settings, store, moment), since, until)
        say("working out the outlook of budgets")
        every = timedelta(minutes=minutes)
        hindsight.outlooks(store, lambda moment: budgets(settings, store, moment), since, until, every)
    if settings.anomalies.enabled:
        say("looking for incidents")
        detect(store, until, policy(settings), since)
        store.command(_KNOWN_LATER)
        store.command("DELETE FROM otel.genai_anomaly WHERE NOT endsWith(incident_id, '/known')")


def _asked(
    settings: Settings, store: Store, groups: Sequence[Group], wish: Wish, progress: Progress | None
) -> Replayed:
    from otel_exporter import alerts

    known, strange = _with_tables(store, groups)
    database = alerts.unbounded(store)
    told = progress or (lambda _done, _all: None)
    found = replay(known, database, alerts.options(settings), wish.span, wish.step, told)
    found.left_out += strange
    return found


def _with_tables(store: Store, groups: Sequence[Group]) -> tuple[list[Group], list[Fault]]:
    """The rules whose tables are in the copy, and what is to be said of the others."""
    absent = set(store.arrow(_TABLES)["name"].to_list()) - _FILLED
    words = re.compile(rf"\b({'|'.join(sorted(absent))})\b")
    kept, faults = [], []
    for group in groups:
        strange = {rule.id: match[1] for rule in group.rules if (match := words.search(rule.expr))}
        kept.append(replace(group, rules=tuple(rule for rule in group.rules if rule.id not in strange)))
        faults += [
            Fault(rule.place, rule.name, f"not replayed: {strange[rule.id]} is not copied")
            for rule in group.rules
            if rule.id in strange
        ]
    return kept, faults
