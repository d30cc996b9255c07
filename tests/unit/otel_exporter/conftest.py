"""The `tokentide` command inside the test process, and a data directory that holds a few calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.cli import main

#: call_key, hours ago, team, model, status, input, output, dollars (NULL: unpriced), error code, issues
CALLS = """
    ('a', 1, 'search', 'gpt-4o', 'ok', 100, 20, '0.000450000000', '', []),
    ('b', 2, 'search', 'gpt-4o', 'ok', 10, NULL, '0.000000000001', '', ['tokens_unknown']),
    ('c', 26, 'support', 'claude', 'ok', 7, 3, '12.5', '', []),
    ('d', 3, '', 'mystery', 'ok', 5, 5, NULL, '', ['unpriced_model']),
    ('e', 4, 'search', 'gpt-4o', 'error', NULL, NULL, '0', '429', []),
    ('f', 2000, 'search', 'gpt-4o', 'ok', 1, 1, '99', '', [])
"""


@dataclass(frozen=True)
class Run:
    """What one command did."""

    code: int
    out: str
    err: str


Tokentide = Callable[..., Run]


@pytest.fixture
def tokentide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Tokentide:
    """Runs the command in ``tmp_path``, without TOKENTIDE_* variables of the outside."""
    for name in [name for name in os.environ if name.startswith("TOKENTIDE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["tokentide", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Run(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated embedded database with `CALLS`; nobody has it open."""
    directory = tmp_path_factory.mktemp("data")
    with Store.embedded(directory) as store:
        runner.apply(store)
        store.command(
            f"""INSERT INTO otel.genai_ledger (call_key, started_at, ended_at, team, provider, model, requested_model,
            status, input_tokens, output_tokens, cost_usd, error_code, error_type, issues, version, sign)
            SELECT c1, now64(9) - toIntervalHour(c2), now64(9), c3, 'openai', c4, 'alias', c5, c6, c7,
            toDecimal128(c8, 12), c9, if(c9 = '', '', 'RateLimit'), c10, 1, 1 FROM VALUES({CALLS})"""
        )
    return directory


@pytest.fixture
def store(data_dir: Path) -> Iterator[Store]:
    """The store of ``data_dir``, open."""
    with Store.embedded(data_dir) as opened:
        yield opened
