"""`tokentide forecast` as a user types it: a run over stored usage, then the picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from tests.e2e.house import asked, tokentide

_USAGE = """INSERT INTO otel.genai_rollup_day (bucket, tenant, team, calls, cost_usd)
SELECT toDateTime('2026-11-16 00:00:00', 'UTC') - toIntervalDay(1 + number % 70) AS bucket, 'default',
    ['search', '[b]$support$<b>'][1 + intDiv(number, 70)], 10, 5 + toDayOfWeek(bucket) + number % 5
FROM numbers(140)"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with ten weeks of two teams."""
    directory = tmp_path_factory.mktemp("house")
    with Store.embedded(directory) as store:
        runner.apply(store)
        store.command(_USAGE)
    return directory


def test_forecast_and_see_it(data: Path) -> None:
    """A run forecasts each team once, says so again when repeated, and show draws it in characters, PNG and HTML."""
    where = ("--axis", "team", "--data-dir", data)
    first = tokentide("forecast", "run", *where, "--as-of", "2026-11-16", "--format", "json", cwd=data)
    assert first.returncode == 0, first.stderr
    rows = json.loads(first.stdout)
    assert [row["steps"] for row in rows] == [35, 35]
    assert all(row["sum_p10"] < row["sum_p50"] < row["sum_p90"] for row in rows)
    again = tokentide("forecast", "run", *where, "--as-of", "2026-11-16", cwd=data)
    assert "0 of 2 series forecast as of 2026-11-16 00:00 UTC, 2 had been before" in again.stdout
    assert asked(data, "SELECT count() AS n FROM genai_forecast") == [{"n": 70}]

    shown = tokentide("forecast", "show", "search", *where, cwd=data)
    assert shown.returncode == 0, shown.stderr
    assert "cost_usd team search" in shown.stdout and "backtest MASE" in shown.stdout
    assert "█" in shown.stdout and "▒" in shown.stdout
    files = ("--png", data / "a.png", "--html", data / "a.html")
    drawn = tokentide("forecast", "show", "[b]$support$<b>", *where, *files, cwd=data)
    assert drawn.returncode == 0, drawn.stderr
    assert (data / "a.png").read_bytes().startswith(b"\x89PNG")
    page = (data / "a.html").read_text()
    assert "<svg" in page and "&lt;b&gt;" in page and page.count("<tr>") == 36


def test_what_makes_no_sense_is_a_sentence(data: Path) -> None:
    """An unknown axis, step or series, and a country that is none, end with one sentence and no traceback."""
    for words, sentence in (
        (("run", "--axis", "nobody"), "no axis 'nobody'"),
        (("run", "--freq", "minute"), "no step 'minute'"),
        (("run", "--country", "Germany"), "forecast.country"),
        (("show", "nobody", "--axis", "team"), "no forecast of cost_usd"),
        (("show", "--axis", "nobody"), "no forecast of cost_usd"),
    ):
        ran = tokentide("forecast", *words, "--data-dir", data, cwd=data)
        assert ran.returncode in (1, 2)
        assert sentence in ran.stderr
        assert "Traceback" not in ran.stderr and len(ran.stderr.splitlines()) == 1
