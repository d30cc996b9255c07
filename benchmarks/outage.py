"""An hour of traffic while ClickHouse is away: what it costs on disk and in memory, and how fast it drains afterwards.

``python -m benchmarks.outage [spans]`` pushes 3.6 million spans (1,000 a second for an hour; as fast as they are taken)
at a `serve` whose ClickHouse is dead, brings it back, waits until the spool is empty, and counts.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.process import free_port
from benchmarks.stress import Serve, Traffic, mib, serving, wait_for
from tests.crash.engine import Engine

HOUR: Final = 3_600_000
_WORKERS: Final = 2


@dataclass
class Report:
    """What was found. `rss` is (share of the spans sent, bytes)."""

    acknowledged: int = 0
    put_off: int = 0
    seconds: float = 0.0
    spool: int = 0
    rss: list[tuple[float, int]] = field(default_factory=list)
    rss_after: int = 0
    drained: float = 0.0
    stored: int = 0
    calls: int = 0


def outage(folder: Path, spans: int, write: Callable[[str], object] = lambda _: None, size: int = 512) -> Report:
    """Run it."""
    engine = Engine(folder / "clickhouse", free_port()).start()
    try:
        with serving(folder / "data", "--clickhouse-url", engine.url) as serve:
            assert serve.post(next(Traffic(2)))[0] == 200
            wait_for(lambda: engine.ask("SELECT count() FROM otel_traces").strip() == "2", 60, "nothing is stored")
            engine.kill()
            report = Report()
            _push(serve, Traffic(size), spans, report, write)
            report.spool = int(serve.metric("tokentide_spool_bytes"))
            write(f"spool {mib(report.spool)} = {report.spool / report.acknowledged:.0f} bytes a span\n")
            engine.start()
            began = time.monotonic()
            _drain(serve, began, report, write)
            report.drained = time.monotonic() - began
            report.rss_after = serve.rss
            report.stored = int(engine.ask("SELECT count() FROM otel_traces")) - 2
            report.calls = int(engine.ask("SELECT sum(sign) FROM genai_ledger")) - 1
    finally:
        engine.kill()
    return report


def _push(serve: Serve, traffic: Traffic, spans: int, report: Report, write: Callable[[str], object]) -> None:
    """Send until ``spans`` are acknowledged; a request that is put off is sent again, as senders do."""
    lock, began = threading.Lock(), time.monotonic()
    milestones = [spans * tenth // 10 for tenth in range(1, 11)]

    def work() -> None:
        while True:
            with lock:
                if report.acknowledged + _WORKERS * traffic.spans > spans + _WORKERS * traffic.spans - 1:
                    return
                body = next(traffic)
            while (answer := serve.post(body))[0] != 200:
                assert answer[0] == 503, answer
                report.put_off += 1
                time.sleep(float(answer[1] or 1))
            with lock:
                report.acknowledged += traffic.spans
                while milestones and report.acknowledged >= milestones[0]:
                    milestones.pop(0)
                    report.rss.append((report.acknowledged / spans, serve.rss))
                    spool = serve.metric("tokentide_spool_bytes")
                    write(f"{report.acknowledged:>10,} spans {time.monotonic() - began:6.0f} s"
                          f"  RSS {mib(serve.rss)}  spool {mib(spool)}  put off {report.put_off}\n")  # fmt: skip

    threads = [threading.Thread(target=work) for _ in range(_WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.seconds = time.monotonic() - began


def _drain(serve: Serve, began: float, report: Report, write: Callable[[str], object]) -> None:
    peak, said = 0, 0.0
    while left := int(serve.metric("tokentide_spool_segments")):
        peak = max(peak, serve.rss)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            write(f"draining: {left:,} segments left, {said - began:.0f} s, RSS {mib(serve.rss)}\n")
        assert time.monotonic() - began < 7200, "it does not drain"
        time.sleep(0.2)
    report.rss.append((1.0, peak))


def main() -> int:
    """Measure and print; exit code 1 when something is lost."""
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else HOUR
    with tempfile.TemporaryDirectory(prefix="outage-") as folder:
        found = outage(Path(folder), spans, lambda line: print(line, end="", flush=True))
    print(f"{found.acknowledged:,} spans acknowledged in {found.seconds:.0f} s "
          f"= {found.acknowledged / found.seconds:,.0f} spans/s while ClickHouse was away")  # fmt: skip
    print(
        f"an hour of 1,000 spans/s needs {mib(found.spool * HOUR / found.acknowledged)} of spool; "
        f"put off: {found.put_off}"
    )
    print(f"RSS {mib(found.rss[0][1])} after a tenth, {mib(found.rss[-2][1])} at the end, "
          f"{mib(found.rss[-1][1])} at most while draining, {mib(found.rss_after)} afterwards")  # fmt: skip
    print(f"drained in {found.drained:.0f} s = {found.acknowledged / found.drained:,.0f} spans/s")
    print(f"stored {found.stored:,} spans, {found.calls:,} calls; lost {found.acknowledged - found.stored:,}")
    return int((found.stored, 2 * found.calls) != (found.acknowledged, found.acknowledged))


if __name__ == "__main__":
    sys.exit(main())
