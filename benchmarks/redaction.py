"""Redaction's share: the whole commit path (decode, processors, land, spool with fsync) with and without `redact`.

``python -m benchmarks.redaction [spans] [rounds]`` measures both in one process, turn about, over the same requests, so
that a noisy machine meets both alike. For each case it prints the medians in CPU and in wall time, and a last line
``redaction_ratio=<x> content=<case>``: throughput with redaction over throughput without it, by CPU time. ``dropped``
and ``kept`` have 2 KB of distinct text on every second span; ``dialects`` is the corpus of real exports of twenty
producers; ``secrets`` is ``kept`` with a key in every hundredth message. Exit code 1 when a ratio is below 0.7.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_exporter.commit import GroupCommit, Request
    from otel_exporter.spool import Spool

CASES = {"none": ("drop", 0), "dropped": ("drop", 2048), "kept": ("keep", 2048), "secrets": ("keep", 2048)}
SPANS_PER_REQUEST = 512
REQUESTS_PER_GROUP = 8
LEAST = 0.7
_KEY = b"sk-" + b"proj-Zq8Lw2Rt5Yx9Vb3Nm6Kj1Hg4Fd7Sa0"


def main() -> int:
    """Measure every case."""
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    lines = [case(name, spans, rounds) for name in (*CASES, "dialects")]
    print(*(line for line, _ in lines), sep="\n")
    return int(any(ratio < LEAST for _, ratio in lines))


def case(name: str, spans: int, rounds: int) -> tuple[str, float]:
    """One case: the last line to print, and the ratio."""
    from clickhouse_schema.store import Store
    from otel_exporter import logs
    from otel_exporter.chains import chains, keeps_content
    from otel_exporter.commit import GroupCommit
    from otel_exporter.config.tree import ContentSettings, Settings
    from otel_exporter.content_shelf import ContentShelf
    from otel_exporter.decode import Decoder
    from otel_exporter.spool import Spool
    from processors.redact import RedactProcessor

    logs.configure("warning")
    settings = Settings(content=ContentSettings(policy=CASES.get(name, ("drop", 0))[0]))  # type: ignore[arg-type]
    chain, _ = chains(settings)
    without = [step for step in chain if not isinstance(step, RedactProcessor)]
    assert len(without) == len(chain) - 1
    groups = _groups(name, spans)
    seconds: dict[str, list[tuple[float, float]]] = {"on": [], "off": []}
    with tempfile.TemporaryDirectory() as directory:
        store = Store.memory()
        spool = Spool(Path(directory), 2**33)

        def commit(steps: list[Callable[..., object]]) -> GroupCommit:
            shelf = ContentShelf() if keeps_content(settings) else None
            return GroupCommit(Decoder(store).decode, steps, spool, None, shelf)  # type: ignore[arg-type]

        for number in range(rounds + 1):  # the first warms up
            for switch, steps in (("on", list(chain)), ("off", without))[:: 1 if number % 2 else -1]:
                took = _timed(commit(steps), spool, groups)
                seconds[switch] += [took] if number else []
        spool.close()
        store.close()
    (on, on_wall), (off, off_wall) = ([median(column) for column in zip(*seconds[s], strict=True)] for s in seconds)
    print(f"content={name}: CPU {on:.3f} s with, {off:.3f} s without; wall {on_wall:.3f} s, {off_wall:.3f} s")
    line = f"redaction_ratio={off / on:.3f} wall_ratio={off_wall / on_wall:.3f} content={name}"
    return line, off / on


def _groups(name: str, spans: int) -> list[list[Request]]:
    """The requests, in groups as they come together in a busy pipeline."""
    from benchmarks import dialects, traffic
    from otel_exporter.commit import Request
    from processors.batch import Signal

    if name == "dialects":
        copies = max(1, spans // dialects.spans(next(dialects.requests(1))))
        bodies = list(dialects.requests(copies))
    else:
        size = CASES[name][1]
        bodies = list(traffic.requests(spans // SPANS_PER_REQUEST, SPANS_PER_REQUEST, content_bytes=size))
    if name == "secrets":
        bodies = [_with_secrets(body) for body in bodies]
    requests = [Request(Signal.TRACES, "default", body) for body in bodies]
    return [requests[start : start + REQUESTS_PER_GROUP] for start in range(0, len(requests), REQUESTS_PER_GROUP)]


def _with_secrets(body: bytes) -> bytes:
    """A key of the same length as the words it replaces, in every hundredth text of messages."""
    words = b"forecast gateway hour input judge kernel ledger "[: len(_KEY)]
    parts = body.split(b'"content": "')
    planted = [
        part[:17] + _KEY + part[17 + len(words) :] if number % 200 == 1 else part for number, part in enumerate(parts)
    ]
    return b'"content": "'.join(planted)


def _timed(commit: GroupCommit, spool: Spool, groups: list[list[Request]]) -> tuple[float, float]:
    """CPU and wall seconds to make all groups durable; the spool is emptied in between, untimed."""
    cpu = wall = 0.0
    for group in groups:
        started, worked = time.perf_counter(), time.process_time()
        outcomes = commit.commit(group)
        cpu, wall = cpu + time.process_time() - worked, wall + time.perf_counter() - started
        assert not any(outcomes.values()), outcomes
        for segment in spool.segments():
            spool.remove([segment.id])
    return cpu, wall


if __name__ == "__main__":
    sys.exit(main())
