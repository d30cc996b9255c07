"""`tokentide alerts`: are the rules right, what would they have done, what is firing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, Table, render

if TYPE_CHECKING:
    from alerting.rules import Fault, Group, RuleFile
    from clickhouse_schema.store import Store
    from otel_exporter.config import Settings
    from otel_exporter.replaying import Wish

app = typer.Typer(name="alerts", help="Check, test and list alerting rules.", no_args_is_help=True)
RuleFiles = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="Rule files.  [default: all that serve evaluates]")
]
_NOW: Final = """SELECT rule, severity, state, labels, value, active_at, fired_at, resolved_at,
    annotations['summary'] AS summary, annotations['dashboard_url'] AS dashboard_url
FROM alert_state FINAL WHERE state != 'resolved' OR resolved_at > now() - toIntervalHour(24)
ORDER BY state = 'resolved', severity, rule, active_at"""


@app.command()
def check(paths: RuleFiles = None, config: ConfigFile = None) -> None:
    """Check rule files.

    Every rule is read and asked of an empty database with the real tables. Prints every mistake with file, line and
    rule, and exits with 1 when there is one.
    """
    from otel_exporter.failures import Reason, Refused

    settings = settings_for(config, None, None)
    with _scratch() as store:
        groups, faults = _checked(settings, _read(settings, paths), store)
    for fault in faults:
        typer.echo(str(fault))
    rules = [rule for group in groups for rule in group.rules]
    if faults:
        raise Refused(Reason.MALFORMED, f"{len(faults)} mistakes, {len(rules)} rules are fine")
    typer.echo(f"{len(rules)} rules are fine, {sum(rule.enabled for rule in rules)} of them on")


@app.command()
def test(
    paths: RuleFiles = None,
    replay: Annotated[
        str, typer.Option(metavar="SPAN", help="Instead, evaluate the rules over the last 30d, 12h, ... of the data.")
    ] = "",
    step: Annotated[str, typer.Option(metavar="TIME", help="With --replay: time between evaluations.")] = "5m",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="With --replay: when it ends, such as 2026-10-31.  [default: now]")
    ] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Run the tests that rule files carry, on a temporary database.

    With --replay, show which alerts would have fired over the past, and pages a week (critical alerts). Outlooks of
    budgets and incidents are worked out again as they would have been known then, in a temporary database.
    """
    settings = settings_for(config, data_dir, clickhouse_url)
    if replay:
        _replay(settings, _read(settings, paths), (replay, until, step), form)
    else:
        _test(settings, _read(settings, paths), form)


@app.command("list")
def list_(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """List every rule and its alerts: pending, firing, resolved within a day."""
    from otel_exporter import alerts
    from otel_exporter.asking import asking, table

    settings = settings_for(config, data_dir, clickhouse_url)
    with asking(settings) as ask:
        found = table(ask, _NOW)
    groups, _ = alerts.groups(settings, alerts.rule_files(settings))
    there = {(row[0], row[1]) for row in found.rows}
    silent = [
        [rule.name, rule.severity, "inactive" if rule.enabled else "off", *[None] * (len(found.columns) - 3)]
        for group in groups
        for rule in group.rules
        if (rule.name, rule.severity) not in there
    ]
    render(Table(found.columns, [*found.rows, *silent]), form)


def _read(settings: Settings, paths: Sequence[Path] | None) -> list[RuleFile]:
    from alerting import files
    from otel_exporter import alerts

    return [files.load(path) for path in paths] if paths else alerts.rule_files(settings)


@contextmanager
def _scratch() -> Iterator[Store]:
    """An empty database with our tables."""
    from clickhouse_schema import runner
    from clickhouse_schema.store import Store

    with tempfile.TemporaryDirectory(prefix="tokentide-alerts-") as directory, Store.embedded(Path(directory)) as store:
        runner.apply(store)
        yield store


def _checked(settings: Settings, read: Sequence[RuleFile], store: Store) -> tuple[list[Group], list[Fault]]:
    """The rules the database answers, rows and all, and what is wrong with the others."""
    from alerting.engine import Engine, Forgetful
    from alerting.rules import Fault
    from otel_exporter import alerts

    now = datetime.now(UTC)
    database = alerts.questions(store, verbose=True)
    groups, faults = alerts.groups(settings, read)
    groups, refused = alerts.sound(groups, database, now)
    engine = Engine(groups, database, Forgetful(), lambda _: None, alerts.options(settings))
    for group in engine.groups:
        engine.evaluate(group, now)
    failed = [health for health in engine.health() if health.kind == "failed"]
    late = [Fault(health.rule.place, health.rule.name, health.sentence) for health in failed]
    return groups, sorted([*faults, *refused, *late], key=lambda fault: (str(fault.place.file), fault.place.line))


def _test(settings: Settings, read: Sequence[RuleFile], form: Format) -> None:
    from alerting import trials
    from otel_exporter import alerts
    from otel_exporter.failures import Reason, Refused

    groups, faults = alerts.groups(settings, read)
    with _scratch() as store:
        database = alerts.questions(store, verbose=True)
        told = alerts.options(settings)
        outcomes = [trials.run(trial, groups, store, database, told) for file in read for trial in file.trials]
    rows = [
        [
            outcome.trial.name,
            "failed" if outcome.wrong else "ok",
            "; ".join(f"{at}: {why}" for at, why in outcome.wrong),
        ]
        for outcome in outcomes
    ]
    if form is Format.TABLE:
        rows = [row[:2] for row in rows]
        for outcome in outcomes:
            sys.stderr.writelines(f"{at}: {why}\n" for at, why in outcome.wrong)
    render(Table(("test", "outcome", "why")[: len(rows[0]) if rows else 3], rows), form)
    failed = sum(bool(outcome.wrong) for outcome in outcomes)
    if faults:
        raise Refused(Reason.MALFORMED, "\n".join(map(str, faults)))
    if failed:
        raise Refused(Reason.MALFORMED, f"{failed} of {len(outcomes)} tests fail")


def _replay(settings: Settings, read: Sequence[RuleFile], said: tuple[str, str, str], form: Format) -> None:
    from alerting.durations import spelled
    from alerting.replay import pages_a_week
    from otel_exporter import alerts
    from otel_exporter.replaying import replayed

    wish = _wish(*said)
    groups, faults = alerts.groups(settings, read)
    with _progress() as (say, progress):
        found = replayed(settings, groups, wish, say, progress)
    failed = [f"{health.rule.place}: {health.rule.name}: {health.sentence}" for health in found.failed]
    sys.stderr.writelines(f"{line}\n" for line in (*map(str, (*faults, *found.left_out)), *failed))
    rows = [_firing(one.alert.labels, one.since, one.until, one.alert.annotations) for one in found.firings]
    render(Table(("alert", "severity", "labels", "fired_at", "resolved_at", "summary"), rows), form)
    if form is Format.TABLE:
        length = wish.until - wish.since
        pages = pages_a_week(found.firings, length)
        sys.stdout.write(f"{len(rows)} alerts in {spelled(length)}, {pages:.1f} pages a week\n")


def _wish(span: str, until: str, step: str) -> Wish:
    from alerting.durations import duration
    from otel_exporter import report
    from otel_exporter.replaying import Wish

    now = datetime.now(UTC)
    end = min(report.since(until, now), now) if until else now
    try:
        every = duration(step)
    except ValueError as error:
        raise typer.BadParameter(f"--step {error}") from None
    if every < timedelta(minutes=1):
        raise typer.BadParameter("--step must be at least 1m")
    return Wish(report.since(span, end), end, every)


def _firing(labels: Any, since: datetime, until: datetime | None, annotations: Any) -> list[Any]:
    others = {name: value for name, value in labels.items() if name not in ("alertname", "severity")}
    return [labels["alertname"], labels.get("severity", ""), others, since, until, annotations.get("summary", "")]


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """What is going on, and a bar of rules, on standard error, when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def say(what: str) -> None:
            bar.update(task, description=what)

        yield say, lambda done, total: bar.update(task, completed=done, total=total)
