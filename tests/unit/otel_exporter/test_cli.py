"""The command line: exit codes, sentences, output."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from otel_exporter import runfile
from otel_exporter.cli.sentences import explain
from otel_exporter.deadletter import Explanation
from otel_exporter.failures import Refused
from otel_exporter.report import since
from otel_exporter.spool import Spool
from tests.unit.otel_exporter.conftest import Tokentide

BROKEN = "ingest:\n  grpc:\n    port: 70000\n  tokn: planted-s3cret\ncontent:\n  policy: share\n"


def test_config_check_reports_everything(tokentide: Tokentide, tmp_path: Path) -> None:
    """Three mistakes are three lines with path, place and reason; exit 2; nothing is quoted that might be a secret."""
    (tmp_path / "t.yaml").write_text(BROKEN)
    run = tokentide("config", "check", "t.yaml")
    assert run.code == 2 and run.out == ""
    assert run.err.splitlines() == [
        "content.policy (t.yaml:6): must be 'drop', 'redact', 'hash' or 'keep', not 'share'",
        "ingest.grpc.port (t.yaml:3): must be at most 65535, not 70000",
        "ingest.tokn (t.yaml:4): unknown key; did you mean token?",
    ]


def test_config_check_of_a_good_file(tokentide: Tokentide, tmp_path: Path) -> None:
    """A valid file is called valid, exit 0; a missing one is a fault, exit 2."""
    (tmp_path / "t.yaml").write_text("log: {level: debug}\n")
    assert tokentide("config", "check", "t.yaml") == (run := tokentide("config", "check", "t.yaml"))
    assert run.code == 0 and "valid" in run.out
    assert tokentide("config", "check", "none.yaml").code == 2


def test_config_show_has_sources_and_no_secrets(
    tokentide: Tokentide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`config show` names who said each value: flag, variable, file line or default; secrets are masked."""
    (tmp_path / "t.yaml").write_text("ingest: {token: planted-s3cret}\n")
    monkeypatch.setenv("TOKENTIDE_CONFIG", "t.yaml")
    monkeypatch.setenv("TOKENTIDE_LOG__LEVEL", "error")
    run = tokentide("config", "show", "--data-dir", "here", "--format", "json")
    rows = {row["path"]: (row["value"], row["source"]) for row in json.loads(run.out)}
    assert rows["ingest.token"] == ("***", "t.yaml:1")
    assert rows["log.level"] == ("error", "TOKENTIDE_LOG__LEVEL")
    assert rows["store.data_dir"] == ("here", "--data-dir")
    assert rows["health.port"] == ("9464", "default")
    assert "planted" not in run.out + run.err
    diff = tokentide("config", "diff", "--format", "csv")
    assert [row["path"] for row in csv.DictReader(io.StringIO(diff.out))] == ["ingest.token", "log.level"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "no such command 'nonsense' (see tokentide --help)"),
        (["query"], "missing argument 'sql' (see tokentide query --help)"),
        (["query", "x", "--format", "xml"], "is not one of 'table', 'json', 'csv'"),
        (["serve", "--grpc-port", "99999"], "ingest.grpc.port (--grpc-port): must be at most 65535, not 99999"),
        (["serve", "--host", "0.0.0.0", "--grpc-port", "0"], "ingest.grpc.host (--host): 0.0.0.0 is reachable"),
    ],
)
def test_wrong_usage(tokentide: Tokentide, arguments: list[str], sentence: str) -> None:
    """Wrong usage is exit 2 and a sentence on standard error."""
    run = tokentide(*arguments)
    assert run.code == 2 and sentence in run.err and run.out == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["query", "SELECT 1"], "there are no data in tokentide-data yet"),
        (["report"], "there are no data in tokentide-data yet"),
        (["report", "--since", "yesterday"], "'yesterday' is no span"),
        (["ingest", "none.pb"], "none.pb does not exist"),
        (["migrate", "status"], "there are no data"),
        (["query", "SELECT 1", "--clickhouse-url", "http://u:planted-s3cret@127.0.0.1:1"], "cannot be reached"),
    ],
)
def test_failures_are_one_sentence(tokentide: Tokentide, arguments: list[str], sentence: str) -> None:
    """A failure is exit 1 and one line on standard error: no traceback, no credentials."""
    run = tokentide(*arguments)
    assert run.code == 1 and sentence in run.err and run.out == ""
    assert len(run.err.splitlines()) == 1 and "planted" not in run.err


def test_a_bug_is_called_a_bug() -> None:
    """An unforeseen exception is named with its place, without its text, which may hold payload."""
    try:
        raise KeyError("payload")
    except KeyError as error:
        sentence, code = explain(error)
    assert code == 1 and "KeyError" in sentence and "test_cli.py" in sentence and "payload" not in sentence


def test_query_formats(tokentide: Tokentide, data_dir: Path) -> None:
    """One question prints as a JSON array of objects, as CSV, and as a table; unqualified names are `otel`'s."""
    columns = "call_key, status, input_tokens, cost_usd, issues"
    sql = f"SELECT {columns} FROM genai_calls WHERE call_key IN ('b', 'd') ORDER BY call_key"
    run = tokentide("query", sql, "--data-dir", data_dir, "--format", "json")
    assert run.code == 0 and json.loads(run.out) == [
        {
            "call_key": "b",
            "status": "ok",
            "input_tokens": 10,
            "cost_usd": "0.000000000001",
            "issues": ["tokens_unknown"],
        },
        {"call_key": "d", "status": "ok", "input_tokens": 5, "cost_usd": None, "issues": ["unpriced_model"]},
    ]
    lines = tokentide("query", sql, "--data-dir", data_dir, "--format", "csv").out.splitlines()
    assert lines[1] == 'b,ok,10,0.000000000001,"[""tokens_unknown""]"'
    assert "0.000000000001" in tokentide("query", sql, "--data-dir", data_dir).out


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("DROP TABLE genai_calls", "only reading is allowed"),
        ("SELECT nope", "nope"),
        ("SELECT * FRO x", "cannot be read"),
        ("SELECT file('/etc/hostname')", "files cannot be read"),
    ],
)
def test_refused_questions(tokentide: Tokentide, data_dir: Path, sql: str, sentence: str) -> None:
    """SQL that is refused fails with exit 1 and says why."""
    run = tokentide("query", sql, "--data-dir", data_dir)
    assert run.code == 1 and sentence in run.err and len(run.err.splitlines()) == 1


def test_report_sums_are_exact(tokentide: Tokentide, data_dir: Path) -> None:
    """The report's totals, parts and counts equal what was posted in its time, unpriced calls counted, not added."""
    run = tokentide("report", "--data-dir", data_dir, "--since", "30d", "--format", "json")
    rows = json.loads(run.out)
    total = next(row for row in rows if row["section"] == "total")
    assert {name: total[name] for name in ("calls", "errors", "unpriced", "input_tokens", "output_tokens")} == {
        "calls": 5,
        "errors": 1,
        "unpriced": 1,
        "input_tokens": 122,
        "output_tokens": 28,
    }
    assert Decimal(total["cost_usd"]) == Decimal("12.500450000001")
    for section in ("team", "model", "day"):
        parts = [row for row in rows if row["section"] == section]
        assert sum(Decimal(row["cost_usd"] or 0) for row in parts) == Decimal("12.500450000001")
        assert sum(row["calls"] for row in parts) == 5
    assert [(row["error_code"], row["calls"]) for row in rows if row["section"] == "errors"] == [("429", 1)]
    unpriced = next(row for row in rows if row["section"] == "unpriced")
    assert (unpriced["model"], unpriced["issues"]) == ("mystery", "unpriced_model")


def test_report_for_people(tokentide: Tokentide, data_dir: Path) -> None:
    """The table form shows every part with its title and money to the micro-dollar."""
    out = tokentide("report", "--data-dir", data_dir).out
    assert all(
        title in out for title in ("Total", "Spend by team", "Tokens by class", "Errors", "Calls without a price")
    )
    assert "12.500450" in out


def test_report_of_nothing(tokentide: Tokentide, data_dir: Path) -> None:
    """No calls in the time asked for is said in words, exit 0."""
    run = tokentide("report", "--data-dir", data_dir, "--since", "2100-01-01")
    assert run.code == 0 and run.out == "no calls in this time\n"


def test_unpriced_lists_models(tokentide: Tokentide, data_dir: Path) -> None:
    """`report --unpriced` lists exactly the models of calls without a cost, with calls, tokens and an example."""
    run = tokentide("report", "--unpriced", "--data-dir", data_dir, "--format", "json")
    listed = [(row["model"], row["calls"], row["input_tokens"], row["such_as"]) for row in json.loads(run.out)]
    assert listed == [("mystery", 1, 5, "d")]


def test_migrations(tokentide: Tokentide, tmp_path: Path) -> None:
    """`plan` names what `apply` runs; afterwards `status` has all applied and nothing is left to do."""
    planned = json.loads(tokentide("migrate", "plan", "--data-dir", "d", "--format", "json").out)
    assert f"{len(planned)} migrations applied" in tokentide("migrate", "apply", "--data-dir", "d").out
    states = json.loads(tokentide("migrate", "status", "--data-dir", "d", "--format", "json").out)
    assert {state["state"] for state in states} == {"applied"} and len(states) == len(planned)
    assert "nothing to do" in tokentide("migrate", "apply", "--data-dir", "d").out


def test_the_sql_for_a_server_before_the_shards(tokentide: Tokentide) -> None:
    """It is printed with the columns of an up-to-date shard, whose name for the cluster must be one."""
    arguments = ("migrate", "distributed", "--cluster", "all_shards", "--data-dir", "d")
    tokentide("migrate", "apply", "--data-dir", "d")
    printed = tokentide(*arguments).out
    assert printed.count("ENGINE = Distributed('all_shards', 'otel', ") > 20 and printed.rstrip().endswith(";")
    assert "`cost_usd` Nullable(Decimal(38, 12))" in printed
    refused = tokentide("migrate", "distributed", "--cluster", "a b", "--data-dir", "d")
    assert refused.code == 2 and "is not the name of a cluster" in refused.err


def test_spool_status_of_nothing(tokentide: Tokentide) -> None:
    """`spool status` of a directory without a spool is an empty list."""
    assert json.loads(tokentide("spool", "status", "--format", "json").out) == []


def test_spool_status_lists_what_waits_and_what_is_dead(tokentide: Tokentide, tmp_path: Path) -> None:
    """Segments and dead letters are listed with tenant, rows and reason, also while another process owns the spool."""
    spool = Spool(tmp_path / "d" / "spool", max_bytes=2**20)
    rows = pl.DataFrame({"a": [1, 2]})
    spool.append({"otel_logs": rows}, "search", [b"digest"])
    spool.dead_letters.keep_rows("x", rows, Explanation("otel_logs", 2, "refused: CANNOT_PARSE (6)", 6, 0.0))
    listed = json.loads(tokentide("spool", "status", "--data-dir", "d", "--format", "json").out)
    spool.close()
    assert [(row["kind"], row["tenant"], row["rows"], row["why"]) for row in listed] == [
        ("waiting", "search", 2, None),
        ("dead", None, 2, "refused: CANNOT_PARSE (6)"),
    ]


def test_commands_refuse_to_replay_beside_a_serve(tokentide: Tokentide, tmp_path: Path) -> None:
    """While a serve lives, `spool replay` says that it does this by itself."""
    with runfile.claim(tmp_path / "d") as claim:
        claim.publish({})
        run = tokentide("spool", "replay", "--data-dir", "d")
    assert run.code == 1 and "by itself" in run.err


def test_a_closed_pipe_is_no_error(data_dir: Path) -> None:
    """`tokentide query ... | head` ends quietly."""
    command = f"{sys.executable} -m otel_exporter.cli query 'SELECT number FROM numbers(300000)' --data-dir {data_dir}"
    run = subprocess.run(f"{command} --format csv | head -1", shell=True, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("number\n", "")


def test_help_is_quick() -> None:
    """`--help` loads no database, no OTLP, no data frames: it answers at once."""
    heavy = ("polars", "chdb", "clickhouse_connect", "grpc", "aiohttp", "pydantic", "opentelemetry", "litellm")
    code = f"import sys, otel_exporter.cli; print([m for m in {heavy} if m in sys.modules])"
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    assert time.monotonic() - began < 5


def test_since() -> None:
    """Spans count back from now; dates and times are UTC unless they say otherwise."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert since("30d", now) == datetime(2026, 1, 30, tzinfo=UTC)
    assert since("90m", now) == datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
    assert since("2026-02-03", now) == datetime(2026, 2, 3, tzinfo=UTC)
    assert since("2026-02-03T01:00:00+01:00", now) == datetime(2026, 2, 3, tzinfo=UTC)
    with pytest.raises(Refused):
        since("99999999999d", now)
