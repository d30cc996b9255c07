"""One fault at a time, on a real `serve` in front of a ClickHouse in a process of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.process import free_port
from benchmarks.stress import Serve, Traffic, serving, wait_for
from tests.crash.engine import Engine
from tests.e2e.house import tokentide

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(600)]
SPANS = 64
#: `tokentide`, which gives up on a ClickHouse that does not answer after seconds instead of half minutes.
HASTY = """
from otel_exporter import service
service.DRAIN_SECONDS = service.GRACE_SECONDS = 3.0
from otel_exporter.cli import main
main()
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A ClickHouse."""
    made = Engine(tmp_path / "clickhouse", free_port()).start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Serve, Traffic]]:
    """A ClickHouse, the serve in front of it, and who sends to that: for faults that pass."""
    home = tmp_path_factory.mktemp("pair")
    engine = Engine(home / "clickhouse", free_port()).start()
    try:
        with serving(home / "data", "--clickhouse-url", engine.url) as serve:
            yield engine, serve, Traffic(SPANS)
    finally:
        engine.kill()


def stored(engine: Engine) -> tuple[int, int]:
    """Spans, and calls that stand."""
    answer = engine.ask("SELECT (SELECT count() FROM otel_traces), (SELECT sum(sign) FROM genai_ledger)")
    spans, calls = answer.split()
    return int(spans), int(calls)


def sent(serve: Serve, traffic: Traffic, requests: int) -> int:
    """How many spans were acknowledged: all."""
    for _ in range(requests):
        assert serve.post(next(traffic))[0] == 200
    return requests * SPANS


@pytest.mark.parametrize("kind", ["readonly", "full", "slow", "lost"])
def test_clickhouse_read_only_full_slow_or_losing_answers(pair: tuple[Engine, Serve, Traffic], kind: str) -> None:
    """While it fails senders are acknowledged; when it is well again everything is stored once, by itself."""
    engine, serve, traffic = pair
    spans = stored(engine)[0] + sent(serve, traffic, 2)
    engine.fail(kind, 5.0)
    spans += sent(serve, traffic, 10)
    if kind in ("readonly", "full"):
        wait_for(lambda: serve.get("/readyz")[0] == 503, 60, "it does not say that it cannot write")
    wait_for(lambda: stored(engine) == (spans, spans // 2), 120, "not everything is stored, or more", pause=0.5)
    wait_for(lambda: serve.get("/readyz")[0] == 200, 60, "it does not recover")


@pytest.mark.parametrize(
    ("program", "limit"),
    [(("-c", HASTY), 60), pytest.param(("-m", "otel_exporter.cli"), 100, marks=pytest.mark.long)],
    ids=["hasty", "as shipped"],
)
def test_sigterm_while_clickhouse_does_not_answer(
    engine: Engine, tmp_path: Path, program: tuple[str, str], limit: float
) -> None:
    """A ClickHouse that hangs does not keep a service from ending well, in time; what it held is stored by the next.
    With the time limits as shipped: `make kills`.
    """
    traffic = Traffic(SPANS)
    with serving(tmp_path / "data", "--clickhouse-url", engine.url, program=program) as serve:
        spans = sent(serve, traffic, 1)
        wait_for(lambda: stored(engine)[0] == spans, 60, "nothing is stored")
        engine.signal(signal.SIGSTOP)
        try:
            spans += sent(serve, traffic, 5)
            time.sleep(3.0)  # the writer waits for an answer by now
            began = time.monotonic()
            assert serve.stop() == 0
            assert time.monotonic() - began < limit
        finally:
            engine.signal(signal.SIGCONT)
    with serving(tmp_path / "data", "--clickhouse-url", engine.url):
        wait_for(lambda: stored(engine) == (spans, spans // 2), 120, "not everything is stored, or more", pause=0.5)


def test_one_row_is_refused_while_another_receiver_writes(engine: Engine, tmp_path: Path) -> None:
    """A row that ClickHouse refuses becomes a dead letter, also where somebody else writes to the same tables."""
    engine_sql = (
        "ALTER TABLE otel_traces ADD CONSTRAINT no_poison CHECK SpanName != 'poison' AND ServiceName != 'poison'"
    )
    options = ("--clickhouse-url", engine.url)
    with serving(tmp_path / "one", *options) as one, serving(tmp_path / "other", *options) as other:
        traffic = Traffic(SPANS)
        engine.ask(engine_sql)
        spans = sent(one, traffic, 1)
        poisoned = _renamed(next(traffic))
        assert one.post(poisoned)[0] == 200
        spans += SPANS - 1
        until = time.monotonic() + 120
        while one.metric("tokentide_dead_letter_rows_total") != 1:
            spans += sent(other, traffic, 1)
            assert time.monotonic() < until, "the row is not put aside"
            time.sleep(0.3)
        wait_for(lambda: stored(engine)[0] == spans, 120, "not everything else is stored", pause=0.5)


def test_clickhouse_is_not_there_when_we_start(tmp_path: Path) -> None:
    """Without its ClickHouse `serve` starts, acknowledges and says why it is not ready; when ClickHouse comes for the
    first time, it is migrated and gets everything once. So it is when `serve` is killed meanwhile.
    """
    engine = Engine(tmp_path / "clickhouse", free_port())
    options = ("--clickhouse-url", engine.url)
    traffic = Traffic(SPANS)
    with serving(tmp_path / "data", *options, ready=False) as serve:
        spans = sent(serve, traffic, 3)
        status, why = serve.get("/readyz")
        assert status == 503 and "ClickHouse cannot be reached" in why
        assert serve.get("/healthz")[0] == 200
        serve.kill()
    try:
        with serving(tmp_path / "data", *options, ready=False) as serve:
            spans += sent(serve, traffic, 2)
            engine.start()
            wait_for(lambda: serve.get("/readyz")[0] == 200, 120, "it does not become ready")
            spans += sent(serve, traffic, 1)
            wait_for(lambda: stored(engine) == (spans, spans // 2), 120, "not everything is stored, or more", pause=0.5)
            ran = {"task": "budgets", "outcome": "ok"}
            wait_for(lambda: serve.metric("tokentide_job_runs_total", **ran) > 0, 60, "no job asks the tables")
    finally:
        engine.kill()


def test_a_look_up_that_is_refused_for_ever(engine: Engine, tmp_path: Path) -> None:
    """Observations that ClickHouse will not be asked about are set aside, the others of the batch and all batches
    behind it are posted; replayed when ClickHouse is mended, they are posted too: no call is lost, none stands twice.
    """
    options = ("--clickhouse-url", engine.url)
    traffic = Traffic(SPANS)
    with serving(tmp_path / "data", *options) as serve:
        spans = sent(serve, traffic, 1)
        wait_for(lambda: stored(engine) == (spans, spans // 2), 60, "nothing is stored", pause=0.3)
        poisoned = next(traffic)
        engine.fail("refuse", 600.0, _a_trace(poisoned))
        assert serve.post(poisoned)[0] == 200
        spans += SPANS + sent(serve, traffic, 2)
        wait_for(lambda: stored(engine) == (spans, spans // 2 - 1), 120, "the others are not stored", pause=0.3)
        assert serve.metric("tokentide_dead_letter_rows_total", table="observations") == 1
        spans += sent(serve, traffic, 1)
        wait_for(lambda: stored(engine) == (spans, spans // 2 - 1), 120, "what came later is not stored", pause=0.3)
        wait_for(lambda: serve.get("/readyz")[0] == 200, 60, "it is not ready")
    engine.fail("refuse", 0.0)
    command = ("spool", "replay", "--dead-letters", "--data-dir", tmp_path / "data", *options)
    for _ in range(2):
        ran = tokentide(*command, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert stored(engine) == (spans, spans // 2)


def _a_trace(body: bytes) -> str:
    """The id of one of its traces."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest.FromString(body)
    return message.resource_spans[0].scope_spans[0].spans[5].trace_id.hex()


def _renamed(body: bytes) -> bytes:
    """The same request; one span has another name."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest.FromString(body)
    message.resource_spans[0].scope_spans[0].spans[3].name = "poison"
    return bytes(message.SerializeToString())
