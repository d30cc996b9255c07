"""The command: one case after the other, each contender on a database of its own, then one line per peer."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import traffic
from benchmarks.peers.contenders import PEERS, Contender, InClickHouse, NotInstalled, Ours
from benchmarks.peers.load import send

SPANS_PER_REQUEST: Final = 512
#: Bytes of distinct text on every second span, and what ours does with it: it is kept, secrets in it are not.
CASES: Final = {"no": ("drop", 0), "yes": ("redact", 2048)}
_PATIENCE: Final = 600.0
_SETTLED: Final = 30.0  # seconds without a new span: longer than any contender waits with a batch


@dataclass(frozen=True)
class Result:
    """One contender in one case."""

    per_second: float
    per_cpu_second: float
    lost: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("peers", nargs="*", default=list(PEERS), help=f"of {', '.join(PEERS)}; all")
    parser.add_argument("--spans", type=int, default=100_000, help="a case (a tenth of it for phoenix)")
    parser.add_argument("--tables", choices=("collector", "ours"), default="collector", help="what peers write into")
    parser.add_argument("--rounds", type=int, default=1, help="of each case for each; the median counts")
    chosen = parser.parse_args()
    InClickHouse.tables = chosen.tables
    lines = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home = Path(name)
        for content in CASES:
            ours = typical(home, Ours, content, chosen)
            killed = lost_when_killed(home, Ours, content)
            print(f"tokentide content={content} lost_in_overload={ours.lost} lost_in_kill={killed}", flush=True)
            lines += [_against(home, PEERS[name], content, chosen, ours) for name in chosen.peers]
    print(*lines, sep="\n")


def _against(home: Path, peer: type[Contender], content: str, chosen: argparse.Namespace, ours: Result) -> str:
    """The last line's words about one peer."""
    try:
        theirs = typical(home, peer, content, chosen)
        killed = lost_when_killed(home, peer, content)
    except NotInstalled as missing:
        return f"{peer.name} content={content} not installed: {missing}"
    except RuntimeError as failed:
        return f"{peer.name} content={content} failed: {failed}"
    return (
        f"{peer.name} content={content} ratio_cpu={ours.per_cpu_second / theirs.per_cpu_second:.2f} "
        f"ratio_wall={ours.per_second / theirs.per_second:.2f} lost={killed} lost_in_overload={theirs.lost}"
    )


def typical(home: Path, kind: type[Contender], content: str, chosen: argparse.Namespace) -> Result:
    """The median of the rounds, by CPU; of what was lost, all."""
    spans = chosen.spans // 10 if kind.name == "phoenix" else chosen.spans
    rounds = [measured(home, kind, content, spans) for _ in range(chosen.rounds)]
    middle = sorted(rounds, key=lambda result: result.per_cpu_second)[len(rounds) // 2]
    return replace(middle, lost=sum(result.lost for result in rounds))


def measured(home: Path, kind: type[Contender], content: str, spans: int) -> Result:
    """Warm up, then everything from the first request to the last row that can be read."""
    size = CASES[content][1]
    bodies = list(traffic.requests(spans // SPANS_PER_REQUEST, SPANS_PER_REQUEST, content_bytes=size))
    with _running(home, kind, content) as contender:
        before_that = traffic.requests(8, SPANS_PER_REQUEST, content_bytes=size, seed=1)
        warm = send(contender.port, before_that, SPANS_PER_REQUEST)
        _settle(contender, warm.acknowledged)
        before = {role: process.cpu_seconds for role, process in contender.processes.items()}
        started = time.perf_counter()
        sent = send(contender.port, bodies, SPANS_PER_REQUEST)
        stored, ended = _settle(contender, warm.acknowledged + sent.acknowledged)
        seconds = ended - started
        used = {role: process.cpu_seconds - before[role] for role, process in contender.processes.items()}
        memory = {role: process.peak_mib for role, process in contender.processes.items()}
        disk = contender.disk_bytes() / max(stored, 1)
    number, cpu = stored - warm.acknowledged, sum(used.values())
    print(
        f"{kind.name} content={content}: {number} spans of {sum(map(len, bodies)) / 1e6:.0f} MB, "
        f"acknowledged {sent.acknowledged / sent.seconds:,.0f}/s, stored {number / seconds:,.0f}/s, "
        f"{number / cpu:,.0f} per CPU-second ("
        + ", ".join(f"{role} {part:.1f} s" for role, part in used.items())
        + "), peak "
        + " + ".join(f"{part:,.0f}" for part in memory.values())
        + f" MiB, {disk:,.0f} bytes on disk a span, told to come later {sent.told_later}",
        flush=True,
    )
    return Result(number / seconds, number / cpu, warm.acknowledged + sent.acknowledged - stored)


def lost_when_killed(home: Path, kind: type[Contender], content: str) -> int:
    """Acknowledged spans that are never seen again after kill -9 of who acknowledged them, and a new start.

    One request is in flight, so at most one was stored without an acknowledgement and hides a lost one.
    """
    bodies = traffic.requests(20, SPANS_PER_REQUEST, content_bytes=CASES[content][1], seed=3)
    with _running(home, kind, content) as contender:
        sent = send(contender.port, bodies, SPANS_PER_REQUEST, in_flight=1)
        contender.kill()
        contender.start()
        stored, _ = _settle(contender, sent.acknowledged)
    return max(0, sent.acknowledged - stored)


@contextmanager
def _running(home: Path, kind: type[Contender], content: str) -> Iterator[Contender]:
    """In a folder of its own, which stays: ext4 is slow at making files for minutes after many were deleted."""
    contender = kind(Path(tempfile.mkdtemp(dir=home)), CASES[content][0])
    try:
        contender.start()
        yield contender
    finally:
        contender.stop()


def _settle(contender: Contender, expected: int) -> tuple[int, float]:
    """Wait until all that is expected is stored, or nothing more comes; how much is, and when the last was seen."""
    found, since = -1, time.perf_counter()
    until = since + _PATIENCE
    while (now := time.perf_counter()) < until:
        number = contender.stored()
        if number != found:
            found, since = number, now
        if number >= expected or now - since > _SETTLED:
            return number, since
        time.sleep(0.1)
    return found, since


if __name__ == "__main__":
    main()
