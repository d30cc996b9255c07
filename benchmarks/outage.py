"""An hour of traffic while ClickHouse is away: what it costs on disk and in memory, and how fast it drains afterwards.

``python -m benchmarks.outage [spans]`` pushes 3.6 million spans (1,000 a second for an hour; as fast as they are taken)
at a `serve` whose ClickHouse is dead, brings it back, waits until the spool is empty, and counts. Spool and tables
are in the directory for temporary files (`disk_mib` is what is there at the end); nothing stays there. The last line
has every figure; the exit code is 1 when something is lost.

Memory is said as the most in the first and in the second half of the spans, while ClickHouse is away and while the
spool drains: it is flat when the second is not more than the first, however many spans there are.
"""

from __future__ import annotations

import signal
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
#: Senders at once: what arrives while a group is committed is the next group, and a large group costs less a span.
_WORKERS: Final = 8
_SAMPLE_SECONDS: Final = 0.5
_SAY_SECONDS: Final = 10.0
_PATIENCE: Final = 7200.0
Say = Callable[[str], object]


@dataclass
class Memory:
    """Resident bytes over the share of the work that was done."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    def note(self, share: float, size: int) -> None:
        """Remember."""
        self.seen.append((share, size))

    def most(self, since: float = 0.0, until: float = 1.01) -> int:
        """The most between two shares of the work; 0 when nothing was seen there."""
        return max((size for share, size in self.seen if since <= share < until), default=0)

    @property
    def halves(self) -> tuple[int, int]:
        """The most in the first and in the second half."""
        return self.most(0.0, 0.5), self.most(0.5)


@dataclass
class Report:
    """What was found. `down` and `draining`: memory while ClickHouse is away, and while the spool drains."""

    acknowledged: int = 0
    put_off: int = 0
    seconds: float = 0.0
    spool: int = 0
    down: Memory = field(default_factory=Memory)
    draining: Memory = field(default_factory=Memory)
    rss_after: int = 0
    drained: float = 0.0
    stored: int = 0
    calls: int = 0
    disk: int = 0

    @property
    def lost(self) -> int:
        """Spans that were acknowledged and are not stored; less than 0: more are stored."""
        return self.acknowledged - self.stored

    @property
    def is_exact(self) -> bool:
        """Whether every span is stored once, and every call (two spans each) stands once."""
        return (self.stored, 2 * self.calls) == (self.acknowledged, self.acknowledged)


def outage(folder: Path, spans: int, write: Say = lambda _: None, size: int = 512) -> Report:
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
            engine.start()
            _drain(serve, report, write)
            report.rss_after = serve.rss
            report.stored = int(engine.ask("SELECT count() FROM otel_traces")) - 2
            report.calls = int(engine.ask("SELECT sum(sign) FROM genai_ledger")) - 1
            report.disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    finally:
        engine.kill()
    return report


def _push(serve: Serve, traffic: Traffic, spans: int, report: Report, write: Say) -> None:
    """Send until ``spans`` are acknowledged; a request that is put off is sent again, as senders do."""
    lock, ordered = threading.Lock(), [0]

    def work() -> None:
        while True:
            with lock:
                if ordered[0] >= spans:
                    return
                ordered[0] += traffic.spans
                body = next(traffic)
            put_off = _until_acknowledged(serve, body)
            with lock:
                report.acknowledged += traffic.spans
                report.put_off += put_off

    began, said = time.monotonic(), 0.0
    threads = [threading.Thread(target=work, daemon=True) for _ in range(_WORKERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(_SAMPLE_SECONDS)
        report.seconds = time.monotonic() - began
        report.down.note(report.acknowledged / spans, serve.rss)
        if report.seconds - said > _SAY_SECONDS:
            said = report.seconds
            spool = serve.metric("tokentide_spool_bytes")
            write(f"away {said:5.0f} s: {report.acknowledged:>10,} spans acknowledged, spool {mib(spool)}, "
                  f"memory {mib(serve.rss)}, put off {report.put_off}\n")  # fmt: skip
    assert report.acknowledged >= spans, "a sender gave up: see above"


def _until_acknowledged(serve: Serve, body: bytes) -> int:
    """Send it, again and again; how often it was put off."""
    put_off = 0
    while (answer := serve.post(body))[0] != 200:
        assert answer[0] == 503, answer
        put_off += 1
        time.sleep(float(answer[1] or 1))
    return put_off


def _drain(serve: Serve, report: Report, write: Say) -> None:
    began, said = time.monotonic(), -_SAY_SECONDS
    whole = max(1.0, serve.metric("tokentide_spool_bytes"))
    while left := serve.metric("tokentide_spool_segments"):
        waiting = serve.metric("tokentide_spool_bytes")
        report.draining.note(max(0.0, 1.0 - waiting / whole), serve.rss)
        now = time.monotonic() - began
        if now - said > _SAY_SECONDS:
            said = now
            write(f"drain {now:4.0f} s: {left:,.0f} segments left, spool {mib(waiting)}, memory {mib(serve.rss)}\n")
        assert now < _PATIENCE, "it does not drain"
        time.sleep(_SAMPLE_SECONDS)
    report.drained = time.monotonic() - began


def figures(found: Report) -> str:
    """Everything in one line."""
    halves = [f"{most / 2**20:.0f}" for memory in (found.down, found.draining) for most in memory.halves]
    return (
        f"outage spans={found.acknowledged} lost={found.lost} calls={found.calls} put_off={found.put_off} "
        f"spool_mib={found.spool / 2**20:.0f} disk_mib={found.disk / 2**20:.0f} "
        f"bytes_per_span={found.spool / found.acknowledged:.0f} "
        f"memory_away_mib={halves[0]},{halves[1]} memory_draining_mib={halves[2]},{halves[3]} "
        f"memory_after_mib={found.rss_after / 2**20:.0f} "
        f"taken_per_second={found.acknowledged / found.seconds:.0f} away_seconds={found.seconds:.0f} "
        f"drained_per_second={found.acknowledged / found.drained:.0f} drain_seconds={found.drained:.0f}"
    )


def main() -> int:
    """Measure and print; exit code 1 when something is lost."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does: nothing stays behind
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else HOUR
    with tempfile.TemporaryDirectory(prefix="outage-") as folder:
        found = outage(Path(folder), spans, lambda line: print(line, end="", flush=True))
    print(figures(found))
    return int(not found.is_exact)


if __name__ == "__main__":
    sys.exit(main())
