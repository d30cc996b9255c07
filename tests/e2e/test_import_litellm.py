"""`tokentide import litellm` against LiteLLM's management API over HTTP: every call once, whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.house import PATIENCE, TOKENTIDE, House, asked, outside, serving, tokentide
from tests.litellm_books import KEY, TEAMS, Books, Row, span_of, spend_log, spent
from tests.litellm_books import serving as proxy
from tests.unit.processors.spans import _pairs

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROWS = 1500
DAYS = 20
_SUMS = """SELECT count() AS calls, uniqExact(call_key) AS keys, sum(cost_usd) AS usd, sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out, countIf(status = 'error') AS failed, countIf(cache_hit) AS hits,
    countIf(team = '') AS nameless FROM genai_calls"""


@pytest.fixture(scope="module")
def begin() -> datetime:
    """Midnight, some weeks ago."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)


@pytest.fixture(scope="module")
def rows(begin: datetime) -> list[Row]:
    """Calls of twenty days, bursts of one instant among them, and some requests that never became a call."""
    step = timedelta(days=DAYS) / ROWS
    instants = [begin + step * (number - number % 4) for number in range(ROWS)]
    return [spend_log(number, at.replace(microsecond=0)) for number, at in enumerate(instants)]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The file with the proxy's key."""
    file = tmp_path / "litellm.key"
    file.write_text(KEY + "\n")
    return file


def _spans(rows: Sequence[Row]) -> bytes:
    """One OTLP request with the proxy's spans of these calls."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.scope.name = "litellm"
    for number, row in enumerate(rows, start=1):
        start, end = (datetime.fromisoformat(row[name]) for name in ("startTime", "endTime"))
        span = scope.spans.add(
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            name="litellm_request",
            start_time_unix_nano=int(start.timestamp() * 1000) * 10**6 + 137,
            end_time_unix_nano=int(end.timestamp() * 1000) * 10**6 + 911,
            attributes=_pairs(span_of(row)),
        )
        span.status.code = 2 if row["status"] == "failure" else 1
    return request.SerializeToString()


def _command(url: str, key_file: Path, data_dir: Path, *more: object) -> list[str]:
    options = ("--url", url, "--key-file", key_file, "--since", f"{DAYS + 1}d", "--data-dir", data_dir)
    return ["import", "litellm", *map(str, options), *map(str, more)]


def _expected(rows: Sequence[Row]) -> dict[str, object]:
    good = [row for row in rows if row["status"] == "success"]
    return {
        "calls": len(rows),
        "keys": len(rows),
        "usd": spent(rows),
        "tokens_in": sum(row["prompt_tokens"] for row in good),
        "tokens_out": sum(row["completion_tokens"] for row in good),
        "failed": len(rows) - len(good),
        "hits": sum(row["cache_hit"] == "True" for row in rows),
        "nameless": 0,
    }


def _exact(found: dict[str, object]) -> dict[str, object]:
    return found | {"usd": Decimal(str(found["usd"]))}


def _interrupted(command: list[str], data_dir: Path, how: signal.Signals, enough: int) -> None:
    """Run a command until so many days are in, then end it; it must not have been done by then."""
    running = subprocess.Popen(
        [TOKENTIDE, *command], cwd=data_dir.parent, env=outside(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + PATIENCE
    try:
        while _seconds_done(data_dir) < enough * 86_400:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        running.send_signal(how)
        running.communicate(timeout=PATIENCE)
        assert running.returncode in (-signal.SIGKILL, 130)
    finally:
        running.kill()
        running.wait()
    assert _seconds_done(data_dir) < DAYS * 86_400


def _seconds_done(data_dir: Path) -> float:
    files = list((data_dir / "imports").glob("litellm-*.json"))
    stretches = json.loads(files[0].read_text())["done"] if files else []
    moments = [[datetime.fromisoformat(text) for text in stretch] for stretch in stretches]
    return sum((end - start).total_seconds() for start, end in moments)


def _budget(data_dir: Path, rows: Sequence[Row], begin: datetime) -> Path:
    """A budget of one team that its spans alone stay far below, and its books pass."""
    mine = spent([row for row in rows if TEAMS[row["team_id"]] == "search"])
    config = data_dir.with_name("tokentide.yaml")
    config.write_text(
        f"""
budgets:
  - {{name: search-books, labels: {{team: search}}, period: custom, start: {begin.date()},
      end: {(begin + timedelta(days=DAYS + 30)).date()}, hard_usd: {mine * Decimal("0.8"):f}, owner: ana}}
forecast: {{axes: [total], most: 1, prophet_series: 0, scheduled: false}}
"""
    )
    return config


def test_every_call_is_counted_once_and_the_crossing_is_seen(
    rows: list[Row], begin: datetime, key_file: Path, tmp_path: Path
) -> None:
    """Through a live serve: spans first, an import that is killed, its rest, and all of it again: the sums are
    the books', and the budget that only the books pass is alerted.
    """
    data_dir, seen = tmp_path / "data", [row for number, row in enumerate(rows) if number % 2]
    config = _budget(data_dir, rows, begin)
    books = Books(rows, team_budget=None, busy_every=13)
    with serving(data_dir, "--config", str(config)) as house, proxy(books) as url:
        house.send("/v1/traces", _spans(seen))
        house.wait_for(_SUMS, lambda found: found[0]["calls"] == len(seen))
        house.wait_for("SELECT 1 FROM genai_budget WHERE budget = 'search-books'")
        assert not house.ask("SELECT 1 FROM alert_state WHERE rule = 'BudgetExhausted' AND state = 'firing'")
        slowly = _command(url, key_file, data_dir, "--requests-per-second", "20")
        _interrupted(slowly, data_dir, signal.SIGKILL, enough=5)
        for again in ((), ("--again",)):
            ran = tokentide(*_command(url, key_file, data_dir, "--requests-per-second", "200", *again), cwd=tmp_path)
            assert ran.returncode == 0, ran.stderr
            assert KEY not in ran.stdout + ran.stderr
        assert f"{ROWS} rows" in ran.stdout
        (found,) = house.wait_for(_SUMS, lambda found: found[0]["calls"] >= ROWS)
        house.wait_for("SELECT 1 FROM alert_state WHERE rule = 'BudgetExhausted' AND state = 'firing'")
        assert _exact(found) == _expected(rows)
        _names_and_limits(house)
        both = "SELECT count() AS n FROM genai_calls WHERE length(sources) = 2 AND observations = 2"
        assert house.ask(both) == [{"n": len(seen)}]
        told = "SELECT 1 FROM otel_logs WHERE arrayExists(v -> v LIKE '%secret words%', mapValues(LogAttributes))"
        assert not house.ask(told)
    assert KEY not in house.log.read_text()


def _names_and_limits(house: House) -> None:
    named = house.ask("SELECT kind, name FROM genai_names FINAL WHERE kind != 'key' ORDER BY name")
    assert [(row["kind"], row["name"]) for row in named] == [
        ("organization", "Acme"), ("team", "ads"), ("user", "ana@example.com"), ("team", "search"), ("team", "support"),
    ]  # fmt: skip
    limits = house.ask("SELECT DISTINCT scope, id, alias, max_budget_usd FROM genai_limits")
    assert limits == [{"scope": "organization", "id": "o-1", "alias": "Acme", "max_budget_usd": "1000"}]


def test_without_a_service_too(rows: list[Row], key_file: Path, tmp_path: Path) -> None:
    """No serve at all: interrupted with Ctrl-C, finished, and looked at once more, the books are in, each call once;
    the prices of models nobody else knows are kept.
    """
    some, data_dir = rows[::3], tmp_path / "data"
    with proxy(Books(some)) as url:
        slowly = _command(url, key_file, data_dir, "--requests-per-second", "20")
        _interrupted(slowly, data_dir, signal.SIGINT, enough=5)
        fast = _command(url, key_file, data_dir, "--requests-per-second", "200")
        for _ in range(2):
            ran = tokentide(*fast, cwd=tmp_path)
            assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("0 rows")
    (found,) = asked(data_dir, _SUMS)
    assert _exact(found) == _expected(some)
    assert set(json.loads((data_dir / "imports" / "prices.json").read_text())) >= {"openai/acme-own-7b"}


def test_an_imported_price_is_used_by_a_running_service(rows: list[Row], key_file: Path, tmp_path: Path) -> None:
    """A span of a model nobody has a price for costs nothing known; after an import beside the running serve the next
    one has the proxy's price, without a restart.
    """
    data_dir = tmp_path / "data"
    cost = "SELECT call_key, cost_usd, price_version FROM genai_calls WHERE model = 'acme-own-7b' ORDER BY started_at"
    with serving(data_dir) as house, proxy(Books(rows[:3])) as url:
        house.send("/v1/traces", _unreported(1))
        (before,) = house.wait_for(cost)
        ran = tokentide(*_command(url, key_file, data_dir, "--requests-per-second", "200"), cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        house.send("/v1/traces", _unreported(2))
        first, second = house.wait_for(cost, lambda found: len(found) == 2)
    assert before["cost_usd"] is None and first == before
    assert Decimal(second["cost_usd"]) == Decimal("0.000120")
    assert second["price_version"] == "override:imported:openai/acme-own-7b"


def _unreported(number: int) -> bytes:
    """A call of the proxy's own model, by an application that says no cost: 100 tokens in, 10 out."""
    request, at = ExportTraceServiceRequest(), time.time_ns()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name="chat acme-own-7b",
        start_time_unix_nano=at,
        end_time_unix_nano=at + 10**9,
        attributes=_pairs(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "acme-own-7b",
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.output_tokens": 10,
            }
        ),
    )
    return request.SerializeToString()


def test_a_key_that_is_not_let_in(key_file: Path, tmp_path: Path) -> None:
    """A wrong key is one sentence, without the key and without what the proxy wrote."""
    key_file.write_text("sk-wrong-key-0123456789")
    with proxy(Books([])) as url:
        ran = tokentide(*_command(url, key_file, tmp_path / "data"), cwd=tmp_path)
    assert ran.returncode == 1
    assert "does not let this key read /spend/logs/v2" in ran.stderr
    assert "sk-wrong" not in ran.stderr + ran.stdout and "Invalid proxy" not in ran.stderr
