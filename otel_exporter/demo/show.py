"""Runs the demo: a service with its own directory and ports, the traffic process, the comparison, the report."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from otel_exporter import logs, outlooks, report, runfile, self_monitoring
from otel_exporter.agreement import sides
from otel_exporter.agreement.difference import differences, disagreement, pairs
from otel_exporter.agreement.litellm import Agreement, record
from otel_exporter.asking import Ask, AskIn, live, table
from otel_exporter.config.budgets import BudgetSettings
from otel_exporter.config.foresight import AnomalySettings, ForecastSettings
from otel_exporter.config.tree import (
    ClickhouseHttpSettings,
    GrpcSettings,
    HealthSettings,
    HttpSettings,
    IngestSettings,
    Settings,
    StoreSettings,
)
from otel_exporter.failures import Reason, Refused
from otel_exporter.imports import door
from otel_exporter.litellm_api.directory import Directory
from otel_exporter.render import Format, render
from otel_exporter.service import Service

DIRECTORY: Final = Path("tokentide-demo")
MARK: Final = "DEMO"  # a file of this name says that the directory is ours to empty
DAYS: Final = 28
PATIENCE_SECONDS: Final = 60.0
PORTS: Final = {"grpc": 24317, "http": 24318, "clickhouse": 28123, "health": 29464}
_SUMS: Final = """
SELECT count() AS calls, countIf(c.status = 'error') AS errors, sum(c.input_tokens) AS input_tokens,
       sum(c.output_tokens) AS output_tokens, countIf(c.cost_usd IS NULL) AS unpriced, sum(c.cost_usd) AS cost_usd
FROM genai_calls AS c
"""


def run(*, once: bool) -> None:
    """Show the whole path.

    Raises:
        Refused: what is stored is not what was sent, or the demo's directory belongs to somebody else.
    """
    console = Console()
    _empty_directory()
    logs.configure("warning")
    asyncio.run(_demo(console, once=once))


def _empty_directory() -> None:
    """Running it again does not pile up."""
    if DIRECTORY.exists():
        if not (DIRECTORY / MARK).exists():
            raise Refused(Reason.STORE, f"{DIRECTORY} exists and is not a demo's directory; move it away")
        if runfile.is_served(DIRECTORY):
            raise Refused(Reason.STORE, f"a demo is already running on {DIRECTORY}")
        shutil.rmtree(DIRECTORY)
    DIRECTORY.mkdir()
    (DIRECTORY / MARK).write_text("Made by tokentide demo: it may be deleted at any time.\n")


#: How the month of the search team's budget ends: half of it is over, and the other half costs more than is left.
_SEARCH_USD: Final = Decimal(2)
_ALERTS: Final = """SELECT state, severity, rule, labels['owner'] AS owner, annotations['summary'] AS summary
FROM alert_state FINAL WHERE state != 'resolved' AND rule != 'Watchdog'
ORDER BY state, severity, rule, summary LIMIT 20"""
_FORECASTS: Final = """SELECT axis, value, count() AS days, round(sum(yhat), 2) AS usd, round(any(mase), 2) AS mase,
    round(any(coverage80), 2) AS coverage80, splitByString(' + ', any(model))[1] AS model
FROM genai_forecast FINAL WHERE metric = 'cost_usd' AND freq = 'day' AND axis IN ('total', 'team') AND horizon <= 28
GROUP BY axis, value ORDER BY axis = 'team', usd DESC"""
_ANOMALIES: Final = """SELECT started_at, severity, metric, if(value = '', axis, value) AS of, observed, expected,
    arrayStringConcat(arraySlice(arrayMap((x, v, s) -> concat(x, ' ', v, ' ', toString(round(100 * s)), '%'),
    contributors.axis, contributors.value, contributors.share), 1, 3), ', ') AS because_of
FROM genai_anomaly FINAL ORDER BY impact_usd DESC LIMIT 5"""


def _settings() -> Settings:
    ingest = IngestSettings(grpc=GrpcSettings(port=PORTS["grpc"]), http=HttpSettings(port=PORTS["http"]), tenant="DEMO")
    return Settings(
        store=StoreSettings(data_dir=DIRECTORY),
        ingest=ingest,
        clickhouse_http=ClickhouseHttpSettings(port=PORTS["clickhouse"]),
        health=HealthSettings(port=PORTS["health"]),
        # Jobs are asked to run when the history is there. The demo's company is small.
        forecast=ForecastSettings(axes=("total", "team"), prophet_series=0, delay_seconds=3600),
        anomalies=AnomalySettings(min_usd=0.01),
        budgets=_budgets(datetime.now(UTC).date()),
    )


def _budgets(today: date) -> tuple[BudgetSettings, ...]:
    """One that will be overrun, one that will not."""
    half = timedelta(days=DAYS // 2)
    search = BudgetSettings(
        name="search",
        labels={"team": "search"},
        period="custom",
        start=today - half,
        end=today + half - timedelta(days=1),
        hard_usd=_SEARCH_USD,
        owner="search-oncall",
    )
    return search, BudgetSettings(name="company", period="quarter", hard_usd=Decimal(200), owner="finance")


async def _demo(console: Console, *, once: bool) -> None:
    listening: asyncio.Future[runfile.Running] = asyncio.get_running_loop().create_future()
    service = Service(_settings(), listening.set_result)
    serving = asyncio.create_task(service.run())
    serving.add_done_callback(lambda _: listening.cancel())
    try:
        running = await listening
    except asyncio.CancelledError:
        await serving  # says why it could not start
        raise
    try:
        await _tell(console, service, running)
        if not once:
            console.print("[bold]DEMO[/] keeps serving; Ctrl-C ends it.")
            await serving
    finally:
        service.stop()
        await serving


async def _tell(console: Console, service: Service, running: runfile.Running) -> None:
    console.rule("DEMO: made-up data on this machine only")
    with console.status(f"sending {DAYS} days of history and real LiteLLM calls ..."):
        sent = await _traffic(f"http://{running.addresses['http']}")
        books = sent.pop("books")
        ask = live(running)
        stored = await asyncio.to_thread(_wait_until_stored, ask, sent)
    with console.status("forecasting, looking at budgets, asking the alert rules, looking for savings ..."):
        await asyncio.to_thread(service.run_now, *_outlook_jobs(service.jobs), self_monitoring.NAME)
        await asyncio.to_thread(_agree, books)
    await asyncio.to_thread(_report, ask)
    await asyncio.to_thread(_foreseen, ask)
    _compare(console, sent, stored)
    console.print(f"Dashboards: [bold]http://{running.addresses['health']}/[/]")
    _how_to_go_on(console)


async def _traffic(endpoint: str) -> dict[str, Any]:
    """Run the sender with nothing but OTEL_* variables to tell LiteLLM where to export."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LITELLM_"))}
    environment |= {
        "OTEL_EXPORTER": "otlp_http",
        "OTEL_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": "demo-litellm-app",
        "OTEL_RESOURCE_ATTRIBUTES": "team=platform,demo=true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price download: this demo needs no network
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "otel_exporter.demo.traffic", endpoint, str(DAYS)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    if process.returncode:
        sys.stderr.write(error.decode(errors="replace"))
        raise Refused(Reason.STORE, "the demo's traffic process failed")
    sent: dict[str, Any] = json.loads(out)
    return sent


def _wait_until_stored(ask: Ask, sent: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = table(ask, _SUMS)
        stored = dict(zip(answer.columns, answer.rows[0], strict=True))
        if int(stored["calls"]) >= int(sent["calls"]) or time.monotonic() > until:
            return stored
        time.sleep(0.2)


def _report(ask: Ask) -> None:
    sys.stdout.flush()
    report.show(report.build(ask, report.since(f"{DAYS + 1}d", datetime.now(UTC))), Format.TABLE, sys.stdout)


def _outlook_jobs(jobs: Sequence[str]) -> list[str]:
    """What `serve` does on its schedule, in the order in which one needs the other."""
    return [
        name
        for first in ("forecast", "budgets", "anomalies", "advice", "alerts/")
        for name in jobs
        if name.startswith(first)
    ]


def _foreseen(ask: AskIn) -> None:
    """What will be spent, which budgets that overruns, what was out of the ordinary, and who would have been told."""
    shown = (
        table(ask, _FORECASTS, title="Forecast of the next 28 days, USD"),
        outlooks.brief(outlooks.newest(ask)),
        table(ask, _ANOMALIES, title="Out of the ordinary"),
        table(ask, _ALERTS, title="Alerts (pending ones fire when they last)"),
    )
    for answer in shown:
        if answer.rows:
            render(answer, Format.TABLE)


def _agree(books: Sequence[Sequence[Any]]) -> None:
    """What `tokentide compare` would find between the books of the demo's gateway and the ledger."""
    now, settings = datetime.now(UTC), _settings()
    since = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    with door.opened(settings) as opened:
        names = Directory()
        held = sides.ours(opened.ask, settings.ingest.tenant, since, now, names)
        cells = differences(pairs(sides.side(books), held, since, now))
        record(opened, Agreement(since, now, cells, disagreement(cells)), now)


def _compare(console: Console, sent: dict[str, Any], stored: dict[str, Any]) -> None:
    """The sender's own sum, by LiteLLM's calculator, against what the ledger says."""
    differences = [name for name in sent if Decimal(str(sent[name])) != Decimal(str(stored[name] or 0))]
    for name, value in sent.items():
        sign = "differs from" if name in differences else "="
        console.print(f"DEMO {name}: sent {value} {sign} stored {stored[name]}")
    if differences:
        raise Refused(Reason.STORE, f"what is stored is not what was sent: {', '.join(differences)}")


def _how_to_go_on(console: Console) -> None:
    console.rule("your own traffic")
    console.print(
        "tokentide serve                                  # 4317 OTLP/gRPC, 4318 OTLP/HTTP\n"
        "export OTEL_EXPORTER=otlp_http OTEL_ENDPOINT=http://127.0.0.1:4318\n"
        "python -c 'import litellm; litellm.callbacks = [\"otel\"]; ...'",
        highlight=False,
    )
    console.print(f"ask this demo: tokentide query 'SELECT * FROM genai_calls LIMIT 3' --data-dir {DIRECTORY}")
