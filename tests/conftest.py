"""For every test: `--no-skips`, with which a test that would be skipped fails (on CI everything has to run).

Whatever a test does to the log of the process is undone after it. The longest files begin first, so that with several
workers (`--dist loadfile`) none of them is left alone with a long one at the end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from hypothesis import settings

#: Machines are noisy: how long an example takes proves nothing.
settings.register_profile("tokentide", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1_000)
settings.register_profile("interleavings", deadline=None, max_examples=10_000)
settings.load_profile("tokentide")

#: A child that imports LiteLLM compiles it for ten seconds unless somebody before it kept the bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

#: In the order of their length, as `pytest --durations=0` says: all that take more than half a minute.
LONGEST = (
    "e2e/test_preview.py",
    "e2e/test_litellm_callback.py",
    "crash/test_faults.py",
    "laws/test_dashboards.py",
    "e2e/test_alertmanager.py",
    "crash/test_spool_and_writer.py",
    "e2e/test_litellm_proxy.py",
    "corpus/test_calls.py",
    "e2e/test_collector.py",
    "laws/test_processors.py",
    "e2e/test_import_litellm.py",
    "e2e/test_books.py",
    "crash/test_ledger.py",
    "crash/test_messages_and_sums.py",
    "e2e/test_secrets.py",
    "unit/clickhouse_schema/test_rollups.py",
    "unit/processors/test_redact.py",
    "e2e/test_stress.py",
    "e2e/test_clickhouse_http.py",
    "e2e/test_tenants.py",
    "unit/otel_exporter/test_writer.py",
    "wire/test_decode.py",
    "e2e/test_crash.py",
    "unit/alerting/test_replay.py",
    "fuzz/test_fuzz.py",
    "laws/test_rules.py",
    "corpus/test_observations.py",
    "corpus/test_table.py",
    "unit/otel_exporter/test_doctor.py",
    "e2e/test_forecast.py",
    "e2e/test_ingest.py",
    "e2e/test_litellm.py",
    "e2e/test_enrichment.py",
    "e2e/test_strange.py",
    "unit/forecasting/test_cut.py",
)

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep pytest-xdist from beginning with the files that have most tests: those are short ones."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; everything else stays in its order."""
    tests = Path(__file__).parent
    rank = {str(tests / name): place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(str(item.path), len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """A command that was run in this process has sent the log to an output that is closed by now."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    result = yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = True
    structlog.reset_defaults()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge a test's report."""
    return _judged((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge a module's report: a whole module can skip itself."""
    return _judged((yield), collector.config)


def _judged(report: _Report, config: pytest.Config) -> _Report:
    """An expected failure is reported as skipped, too; it did run and stays what it is."""
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--no-skips"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"--no-skips: {why}"
    return report
