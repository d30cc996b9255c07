"""Five times more than we can take: what is answered, what it costs in memory, what gets through, how it recovers.

``python -m benchmarks.overload [seconds]`` finds the capacity (closed loop: senders that wait for their answer), then
sends five times that much by the clock (open loop: nobody waits for anybody, nothing is sent again), then measures how
long it takes until a single span is acknowledged within a second again.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.stress import Serve, Traffic, mib, serving

TIMES: Final = 5
_PROMPT: Final = 1.0
_SENDER_PATIENCE: Final = 10.0  # what OTLP exporters wait by default


@dataclass
class Report:
    """What was found; rates are spans a second."""

    capacity: float = 0.0
    offered: float = 0.0
    goodput: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    rss_before: int = 0
    rss_peak: int = 0
    queue: int = 0  # bytes that wait to be committed when it is over
    spool: int = 0  # bytes that wait for ClickHouse then
    recovered: float = 0.0
    answered: list[float] = field(default_factory=list)  # how long each single span took after it
    restarts: int = 0


def overload(folder: Path, seconds: float, *options: str) -> Report:
    """Run it."""
    report = Report()
    with serving(folder / "data", *options) as serve:
        report.capacity = _capacity(serve, seconds / 2)
        report.rss_before = report.rss_peak = serve.rss
        watch = _Watch(serve, report)
        asyncio.run(_open_loop(serve, report, seconds))
        report.queue, report.spool = (int(serve.metric(f"tokentide_{name}_bytes")) for name in ("queue", "spool"))
        report.recovered = _recovery(serve, report)
        watch.stop()
        report.restarts = int(serve.process.poll() is not None)
    return report


def _capacity(serve: Serve, seconds: float, workers: int = 4, spans: int = 512) -> float:
    """Acknowledged spans a second when senders wait for their answers; the first second warms up."""
    traffic, lock, counted = Traffic(spans), threading.Lock(), [0]
    began = time.monotonic()

    def work() -> None:
        while time.monotonic() < began + 1.0 + seconds:
            with lock:
                body = next(traffic)
            status = serve.post(body)[0]
            with lock:
                counted[0] += spans if status == 200 and time.monotonic() > began + 1.0 else 0

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted[0] / (time.monotonic() - began - 1.0)


async def _open_loop(serve: Serve, report: Report, seconds: float, spans: int = 512) -> None:
    traffic = Traffic(spans, templates=5)
    every = spans / (TIMES * report.capacity)
    url = f"http://127.0.0.1:{serve.http}/v1/traces"
    timeout = aiohttp.ClientTimeout(total=_SENDER_PATIENCE)
    under_way: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        began = time.monotonic()
        sent = 0
        while time.monotonic() < began + seconds:
            while sent * every < time.monotonic() - began:
                task = asyncio.create_task(_send(session, url, next(traffic), report))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
                if sent % 8 == 0:
                    break  # let answers be read, too
            await asyncio.sleep(0.001)
        took = time.monotonic() - began
        acknowledged = report.answers["200"]
        await asyncio.gather(*under_way)
    report.offered = sent * spans / took
    report.goodput = acknowledged * spans / took


async def _send(session: aiohttp.ClientSession, url: str, body: bytes, report: Report) -> None:
    try:
        async with session.post(url, data=body, headers={"Content-Type": "application/x-protobuf"}) as response:
            await response.read()
            told = " with Retry-After" if response.status == 503 and "Retry-After" in response.headers else ""
            report.answers[f"{response.status}{told}"] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        report.answers[type(error).__name__] += 1


def _recovery(serve: Serve, report: Report) -> float:
    """Seconds until one span is acknowledged promptly again, three times in a row."""
    traffic, began, prompt = Traffic(1), time.monotonic(), 0
    while prompt < 3:
        asked = time.monotonic()
        status = serve.post(next(traffic))[0]
        report.answered.append(time.monotonic() - asked)
        prompt = prompt + 1 if status == 200 and report.answered[-1] < _PROMPT else 0
        assert time.monotonic() - began < 300, "it does not recover"
    return time.monotonic() - began


class _Watch:
    def __init__(self, serve: Serve, report: Report) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(serve, report))
        self._thread.start()

    def _run(self, serve: Serve, report: Report) -> None:
        while not self._ended.wait(0.1):
            report.rss_peak = max(report.rss_peak, serve.rss)

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()


def main(write: Callable[[str], object] = print) -> int:
    """Measure and print; exit code 1 when it died."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory(prefix="overload-") as folder:
        found = overload(Path(folder), seconds)
    write(
        f"capacity {found.capacity:,.0f} spans/s; offered {found.offered:,.0f} = {found.offered / found.capacity:.1f}x"
    )
    write(f"goodput {found.goodput:,.0f} spans/s = {found.goodput / found.capacity:.2f} of the capacity")
    write(f"answers {dict(found.answers)}")
    write(f"RSS {mib(found.rss_before)} before, {mib(found.rss_peak)} at most")
    took = ", ".join(f"{seconds:.2f}" for seconds in found.answered[:10])
    write(f"left over: {mib(found.queue)} to commit, {mib(found.spool)} to store; single spans took {took} s")
    write(f"prompt again after {found.recovered:.1f} s; died {found.restarts} times")
    return found.restarts


if __name__ == "__main__":
    sys.exit(main())
