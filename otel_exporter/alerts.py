"""Alerting inside our house: settings become an engine, questions are guarded, metrics are ours, jobs are scheduled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from alerting import files
from alerting.alertmanager import Endpoint
from alerting.engine import Engine, Options
from alerting.evaluation import DatabaseAway, Identity, RuleFailed, check
from alerting.journal import StoreJournal
from alerting.notifier import Notifier
from alerting.rules import Fault, Group, RuleFile
from alerting.suppression import suppression
from alerting.templates import Links
from clickhouse_schema.errors import StoreError
from otel_exporter.asking import Ask, direct, table
from otel_exporter.failures import Refused, RetryLater
from otel_exporter.schedule import Job
from otel_exporter.telemetry import Metric

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.config import Settings
    from otel_exporter.spool import Spool

log = structlog.get_logger(__name__)
#: Seconds and rows one rule may take.
LONGEST_SECONDS: Final = 30
MOST_ROWS: Final = 10_000
_TOO_MANY_ROWS: Final = 396
#: ClickHouse cannot be reached, is too busy, or a wire broke: no rule is to blame.
_AWAY: Final = (0, 202, 209, 210, 241)


class Questions:
    """Rules ask through the same guard as `tokentide query`. With ``verbose`` a failure quotes what ClickHouse said."""

    def __init__(self, ask: Ask, *, verbose: bool = False) -> None:
        self._ask = ask
        self._verbose = verbose

    def rows(self, sql: str, parameters: Mapping[str, str], most: int) -> list[dict[str, Any]]:
        """The answer. Raises RuleFailed."""
        answer = self._answer(sql, parameters)
        if len(answer.rows) > most:
            raise RuleFailed(f"returns {len(answer.rows)} rows, and {most} are the limit of its group")
        readers = [_reader(kind) for kind in answer.types]
        return [
            {name: read(value) for name, read, value in zip(answer.columns, readers, row, strict=True)}
            for row in answer.rows
        ]

    def columns(self, sql: str, parameters: Mapping[str, str]) -> list[str]:
        """The names of the answer's columns. Raises RuleFailed."""
        self._answer(f"EXPLAIN AST {sql}", parameters)  # says when there are two statements
        return [str(row[0]) for row in self._answer(f"DESCRIBE (\n{sql}\n)", parameters).rows]

    def _answer(self, sql: str, parameters: Mapping[str, str]) -> Any:
        try:
            return table(self._ask, sql, parameters)
        except StoreError as error:
            if error.code == _TOO_MANY_ROWS:
                raise RuleFailed(f"returns more than {MOST_ROWS} rows") from None
            if error.code in _AWAY:
                raise DatabaseAway(error.sentence) from None
            detail = f": {' '.join(error.detail.split())[:500]}" if self._verbose and error.detail else ""
            raise RuleFailed(error.sentence + detail) from None
        except (Refused, RetryLater) as refused:
            raise RuleFailed(refused.sentence if self._verbose else refused.sentence.partition(":")[0]) from None


def questions(store: Store, *, verbose: bool = False) -> Questions:
    """Questions to ``store``, bounded in time and rows."""
    return Questions(direct(store, LONGEST_SECONDS, MOST_ROWS), verbose=verbose)


def unbounded(store: Store) -> Questions:
    """Questions to a replay's own store: its many stretches of time may be more rows than a rule's answer."""
    return Questions(direct(store, LONGEST_SECONDS), verbose=True)


def _reader(kind: str) -> Callable[[Any], Any]:
    """How a column's JSON becomes the value templates calculate with."""
    bare = kind.removeprefix("LowCardinality(").removeprefix("Nullable(")
    return _amount if bare.startswith("Decimal") else _moment if bare.startswith("DateTime") else _same


def _same(value: Any) -> Any:
    return value


def _amount(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _moment(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value)).astimezone(UTC)


def rule_files(settings: Settings, more: Iterable[Path] = ()) -> list[RuleFile]:
    """The rule files of these settings, ours first."""
    ours = files.builtin() if settings.alerting.builtin else []
    return [*ours, *(files.load(path) for path in (*settings.alerting.rule_files, *more))]


def groups(settings: Settings, read: Sequence[RuleFile]) -> tuple[list[Group], list[Fault]]:
    """The rules of these files as the settings want them, and what is wrong."""
    return files.combined(read, {said.alert: said.changes for said in settings.alerting.rules})


def sound(found: Sequence[Group], database: Questions, now: datetime) -> tuple[list[Group], list[Fault]]:
    """The rules the database can answer, and what is wrong with the others."""
    faults: list[Fault] = []
    kept = []
    for group in found:
        wrong = {
            rule.id: [Fault(rule.place, rule.name, why) for why in check(rule, database, now)] for rule in group.rules
        }
        faults += [fault for some in wrong.values() for fault in some]
        kept.append(replace(group, rules=tuple(rule for rule in group.rules if not wrong[rule.id])))
    return kept, faults


def options(settings: Settings) -> Options:
    """What the settings say about all rules."""
    said = settings.alerting
    return Options(
        Identity(said.external_labels, said.owners),
        Links(said.grafana_url or "", said.runbook_url),
        timedelta(seconds=said.resend_delay_seconds),
        tuple(suppression(one) for one in said.suppressions),
    )


def endpoints(settings: Settings) -> list[Endpoint]:
    """The Alertmanagers of these settings."""
    return [
        Endpoint(
            url=said.url,
            username=said.username or "",
            password=said.password.reveal() if said.password else "",
            bearer=said.bearer_token.reveal() if said.bearer_token else "",
            ca_file=said.ca_file,
            cert_file=said.cert_file,
            key_file=said.key_file,
            insecure_skip_verify=said.insecure_skip_verify,
            timeout=float(said.timeout_seconds),
        )
        for said in settings.alerting.alertmanagers
    ]


class Alerting:
    """The alerting of a `serve`: `jobs` for its scheduler, `stop` when those have ended.

    Nothing is asked of the database before the first round, so a slow one delays no door.
    """

    def __init__(self, settings: Settings, store: Store, spool: Spool, failing: Callable[[], Iterable[str]]) -> None:
        self._spool = spool
        self._failing = failing
        self._database = questions(store)
        self._notifier = Notifier(endpoints(settings), _Counters())
        self._told: dict[str, str] = {}
        self._checked: dict[str, Group] = {}
        self._refused = 0
        self._first = threading.Lock()
        found, faults = groups(settings, rule_files(settings))
        self._refuse(faults)
        journal = StoreJournal(store, lambda why: log.warning("alert states cannot be written yet", why=why))
        self._engine = Engine(found, self._database, journal, self._notifier.send, options(settings), self._facts)
        self._notifier.start()

    def jobs(self) -> list[Job]:
        """One job a group of rules."""
        return [self._job(group) for group in self._engine.groups if group.rules]

    def _job(self, group: Group) -> Job:
        def run(now: datetime, _stopping: threading.Event) -> None:
            self._round(self._prepared(group, now), now)

        return Job(f"alerts/{group.name}", group.interval, run)

    def _prepared(self, group: Group, now: datetime) -> Group:
        """The group without the rules the database cannot answer; the first of all takes up what is left of before."""
        with self._first:
            if not self._checked:
                self._engine.restore(now)
            if group.name not in self._checked:
                (kept,), faults = sound([group], self._database, now)
                self._refuse(faults)
                self._checked[group.name] = kept
            return self._checked[group.name]

    def _refuse(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            log.warning("an alert rule is refused", rule=fault.rule, at=str(fault.place), why=fault.sentence)
        self._refused += len(faults)
        Metric.ALERT_RULES_REFUSED.set(self._refused)

    def stop(self, patience: float) -> None:
        """Send what waits, for at most ``patience`` seconds."""
        self._notifier.stop(patience)

    def _round(self, group: Group, now: datetime) -> None:
        self._engine.evaluate(group, now)
        names = {rule.id for rule in group.rules}
        states = [(name, alert.state) for name, alert in self._engine.alerts() if name in names]
        for name in names:
            for state in ("pending", "firing"):
                Metric.ALERTS.set(states.count((name, state)), rule=name, state=state)
        for health in self._engine.health():
            if health.rule.id in names:
                self._note(health)

    def _note(self, health: Any) -> None:
        name = health.rule.id
        for kind in ("ok", "failed", "absent"):
            Metric.ALERT_RULE_HEALTHY.set(float(kind == health.kind), rule=name, kind=kind)
        if health.kind == "failed":
            Metric.ALERT_RULE_FAILURES.add(rule=name)
        if self._told.get(name, "") != health.sentence:
            self._told[name] = health.sentence
            if health.sentence:
                log.warning("an alert rule is not healthy", rule=name, at=str(health.rule.place), why=health.sentence)

    def _facts(self) -> Mapping[str, str]:
        return facts(self._spool, self._failing())


def facts(spool: Spool, failing: Iterable[str]) -> dict[str, str]:
    """What rules can ask that no table knows: `alerting.rules.FACTS`."""
    segments = spool.segments()
    now = datetime.now(UTC).timestamp()
    oldest = min((segment.created_at for segment in segments), default=now)
    return {
        "backlog_seconds": f"{max(0.0, now - oldest):.0f}",
        "backlog_bytes": str(sum(segment.bytes for segment in segments)),
        "dead_letters": str(_dead_letters(spool.directory)),
        "failing_jobs": ", ".join(sorted(failing)),
    }


def _dead_letters(directory: Path) -> int:
    with suppress(OSError):
        return sum(1 for _ in (directory / "dead-letter").glob("*.error.json"))
    return 0


class _Counters:
    """What becomes of alerts on their way, as metrics; a line in the log when an Alertmanager goes or comes back."""

    def __init__(self) -> None:
        self._away: set[str] = set()
        self._lock = threading.Lock()

    def sent(self, peer: str, count: int) -> None:
        Metric.ALERTS_SENT.add(count, alertmanager=peer)
        with self._lock:
            back = peer in self._away
            self._away.discard(peer)
        if back:
            log.info("alertmanager answers again", alertmanager=peer)

    def failed(self, peer: str, count: int, why: str) -> None:
        Metric.ALERTS_FAILED.add(count, alertmanager=peer)
        with self._lock:
            new = peer not in self._away
            self._away.add(peer)
        if new:
            log.warning("alertmanager does not take alerts; they are tried again", alertmanager=peer, why=why)

    def dropped(self, peer: str, count: int, why: str) -> None:
        Metric.ALERTS_DROPPED.add(count, alertmanager=peer)
        log.warning("alerts are given up", alertmanager=peer, count=count, why=why)

    def waiting(self, peer: str, count: int) -> None:
        Metric.ALERTS_WAITING.set(count, alertmanager=peer)
