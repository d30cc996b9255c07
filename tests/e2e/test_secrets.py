"""What must not be stored is nowhere: not in the spool, not in ClickHouse, not in a log; and the rest is all there."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from signal import SIGKILL

import pyarrow as pa
import pytest

from otel_exporter import segment
from tests.e2e import everything, planted
from tests.e2e.house import PATIENCE, House, serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SENT = {"/v1/traces": planted.traces(), "/v1/logs": planted.logs(), "/v1/metrics": planted.metrics()}
LANDED = ("otel_traces", "otel_logs", "otel_metrics_gauge", "genai_ledger")


@dataclass(frozen=True)
class Evidence:
    """All that a serve left behind under one policy."""

    policy: str
    directory: Path  # data directory and logs, after everything was stored
    spool: str  # spool and frozen batch in plain text, of a serve that was killed before it inserted anything
    tables: str  # every column of every table in plain text
    metrics: str


@pytest.fixture(scope="module", params=["drop", "redact", "hash", "keep"])
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """Sends everything to a serve that dies with a full spool, then lets the next one store it."""
    directory = tmp_path_factory.mktemp(request.param)
    data = directory / "data"
    variables = {"TOKENTIDE_CONTENT__POLICY": request.param, "TOKENTIDE_CONTENT__HASH_KEY": "k" * 32}
    spool = _killed_with_a_full_spool(data, variables)
    _grep_finds_nothing(directory, planted.SECRETS)
    with serving(data, **variables) as house:
        for table in LANDED:
            house.wait_for(f"SELECT 1 FROM {table} LIMIT 1")
        house.post("/v1/traces", planted.LEAK.encode())
        house.post("/v1/traces", f'{{"resourceSpans": "{planted.OPENAI_KEY}"'.encode(), "application/json")
        tables = _all_tables(house)
        metrics = house.get("/metrics")[1]
    yield Evidence(request.param, directory, spool, tables, metrics)
    shutil.rmtree(directory)


def _killed_with_a_full_spool(data: Path, variables: dict[str, str]) -> str:
    """The spool in plain text, before any of it is inserted."""
    unsent = dict(SENT)
    spool = ""
    while unsent:
        with serving(data, TOKENTIDE_FAILPOINT="after-freeze", **variables) as house:
            for path in list(unsent):
                try:
                    house.send(path, unsent[path])
                except (OSError, HTTPException):  # it is dead already: this one is for the next life
                    break
                del unsent[path]
            assert house.process.wait(PATIENCE) == -SIGKILL
        spool += _in_plain_text(data / "spool")
    return spool


def _in_plain_text(spool: Path) -> str:
    """What compression hides from grep: every byte of every Arrow file, whether a row refers to it or not."""
    files = [path.read_bytes() for path in spool.rglob("*.arrow")]
    for path in spool.rglob(f"[!.]*{segment.SUFFIX}"):  # a hidden one was being written when it was killed
        content = path.read_bytes()
        tables = segment.load(path, verify=True).tables.values()
        files += [content[table.offset : table.offset + table.length] for table in tables]
    assert files, "nothing in the spool"
    return "".join(map(_decompressed, files))


def _decompressed(file: bytes) -> str:
    columns = pa.ipc.open_file(file).read_all().columns
    buffers = [buffer for column in columns for chunk in column.chunks for buffer in chunk.buffers() if buffer]
    return "".join(buffer.to_pybytes().decode(errors="replace") for buffer in buffers)


def _all_tables(house: House) -> str:
    names = house.ask("SELECT name FROM system.tables WHERE database = 'otel' AND engine NOT LIKE '%View'")
    found = {row["name"]: house.ask(f"SELECT * FROM {row['name']}") for row in names}
    assert found["otel_traces"] and found["genai_ledger"]
    return str(found)


def _grep_finds_nothing(directory: Path, texts: tuple[str, ...]) -> None:
    patterns = [option for text in texts for option in ("-e", text)]
    ran = subprocess.run(["grep", "-raoF", *patterns, str(directory)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stdout[:2000]


def test_no_secret_is_anywhere(evidence: Evidence) -> None:
    """Keys and tokens planted in every place are on no disk, in no table, log or metric, whatever the policy."""
    _grep_finds_nothing(evidence.directory, planted.SECRETS)
    for secret in planted.SECRETS:
        for text in planted.leftovers(secret):
            for where in (evidence.spool, evidence.tables, evidence.metrics):
                assert text not in where, _around(text, where)


def test_content_is_where_the_policy_wants_it(evidence: Evidence) -> None:
    """Under `drop` and `hash` no message is stored, under `redact` no e-mail address in it, under `keep` all of it."""
    told = evidence.policy in ("redact", "keep")
    if not told:
        _grep_finds_nothing(evidence.directory, planted.CONTENT)
    for where in (evidence.spool, evidence.tables):
        for text in planted.CONTENT:
            assert (text in where) == told, _around(text, where)
        assert (planted.EMAIL in where) == (evidence.policy == "keep"), _around(planted.EMAIL, where)


def test_the_search_would_find_it(evidence: Evidence) -> None:
    """What is neither secret nor content is found by the same search, so that finding nothing means something."""
    for where in (evidence.spool, evidence.tables):
        assert where.count(planted.CANARY) >= 3
        assert "[REDACTED:openai_key]" in where


def test_what_is_not_content_is_untouched(tmp_path: Path) -> None:
    """Under the default policy everything that is neither content nor secret is stored as it was sent."""
    trace_id = secrets.token_bytes(16)
    with serving(tmp_path / "data") as house:
        house.send("/v1/traces", everything.traces(trace_id).SerializeToString())
        house.send("/v1/logs", everything.logs(trace_id).SerializeToString())
        spans = house.wait_for(everything.TRACES_SQL.format(trace=trace_id.hex()))
        logs = house.wait_for(everything.LOGS_SQL.format(trace=trace_id.hex()))
    assert spans == everything.span_rows(trace_id)
    assert logs == everything.log_rows(trace_id)


def _around(text: str, where: str) -> str:
    """The neighbourhood of a finding, to see where it comes from."""
    found = where.find(text)
    return where[max(0, found - 300) : found + len(text) + 20]
