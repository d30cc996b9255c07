"""Throughput: accepted-and-stored spans per second and per CPU-second, stage by stage, on the embedded store.

``python -m benchmarks.pipeline [spans]`` runs one fresh process per case and prints, for each, a line
``stored_spans_per_cpu_second=<x> content=<case> peak_mib=<x>``. CPU counts this process only, ClickHouse included (it
is embedded). All processors are on. ``content=yes`` is 2 KB of distinct text on every second span, kept (redacted);
``dropped`` is the same text not kept; ``dialects`` is the corpus of real exports of twenty producers, over and over
with other ids.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

SPANS_PER_REQUEST = 512
IN_FLIGHT = 8
CASES = {"no": ("drop", 0), "yes": ("redact", 2048), "dropped": ("drop", 2048), "dialects": ("drop", None)}


def main() -> None:
    """Run every case in its own process."""
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    lines = []
    for content in CASES:
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.pipeline", "--case", content, str(spans)],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            sys.exit(answer.stderr)
        *details, line = answer.stdout.strip().splitlines()
        print(*details, sep="\n")
        lines.append(line)
    _decode_ratio()
    print(*lines, sep="\n")


def case(content: str, spans: int) -> None:
    """One case: warm up, then measure from the first request to the last row in ClickHouse."""
    from otel_exporter import logs
    from otel_exporter.assembly import assembled
    from otel_exporter.config.tree import ContentSettings, Settings, StoreSettings
    from otel_exporter.decode import validate
    from otel_exporter.pipeline import Pipeline
    from processors.batch import Signal

    logs.configure("warning")
    policy, size = CASES[content]
    warm, bodies = _traffic(spans, size)
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            store=StoreSettings(data_dir=Path(directory)),
            content=ContentSettings(policy=policy),  # type: ignore[arg-type]
        )
        with assembled(settings) as parts:
            pipeline = Pipeline(parts.commit, parts.spool)
            pipeline.start()
            stop = threading.Event()
            writer = threading.Thread(target=parts.writer.run, args=(stop,))
            writer.start()
            _send(pipeline, warm)
            _settled(parts)
            before, cpu, started = _stages(), _cpu(), time.perf_counter()
            _send(pipeline, bodies)
            accepted = time.perf_counter() - started
            _settled(parts)
            wall, used, after = time.perf_counter() - started, _cpu() - cpu, _stages()
            stop.set()
            writer.join()
            pipeline.stop()
            stored, warmed = (sum(validate(Signal.TRACES, body) for body in group) for group in (bodies, warm))
            rows = parts.store.arrow("SELECT count() AS n FROM otel_traces")["n"].item()
            calls = parts.store.arrow("SELECT count() AS n FROM genai_calls")["n"].item()
            assert rows == stored + warmed, (rows, stored, warmed)
    megabytes = sum(map(len, bodies)) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"content={content} policy={policy}: {stored} spans, {megabytes:.0f} MB, {calls} calls")
    print(f"  accepted {stored / accepted:,.0f} spans/s, stored {stored / wall:,.0f} spans/s, {used / wall:.2f} cores")
    for stage in sorted(after, key=lambda name: before.get(name, 0) - after[name]):
        print(f"  {stage:12s} {1e6 * (after[stage] - before.get(stage, 0)) / stored:8.2f} us/span wall")
    posting = sum(after[stage] - before.get(stage, 0) for stage in ("lookup", "post"))
    print(
        f"  posting (look-up and join) is {100 * posting / sum(_difference(before, after)):.1f} % of all stages' time"
    )
    print(f"stored_spans_per_cpu_second={stored / used:.0f} content={content} peak_mib={peak:.0f}")


def _traffic(spans: int, content_bytes: int | None) -> tuple[list[bytes], list[bytes]]:
    """To warm up, and to measure."""
    from benchmarks import dialects, traffic

    if content_bytes is None:
        copies = max(1, spans // dialects.spans(next(dialects.requests(1))))
        return list(dialects.requests(2)), list(dialects.requests(copies, first=2))
    measured = traffic.requests(spans // SPANS_PER_REQUEST, SPANS_PER_REQUEST, content_bytes=content_bytes)
    return list(traffic.requests(8, SPANS_PER_REQUEST, content_bytes=content_bytes, seed=1)), list(measured)


def _difference(before: dict[str, float], after: dict[str, float]) -> list[float]:
    return [seconds - before.get(stage, 0) for stage, seconds in after.items()]


def _send(pipeline: object, bodies: list[bytes]) -> None:
    """Keep a few requests in flight, as exporters do."""
    from otel_exporter.commit import Request
    from processors.batch import Signal

    waiting: deque[object] = deque()
    for body in bodies:
        if len(waiting) >= IN_FLIGHT:
            waiting.popleft().result()  # type: ignore[attr-defined]
        waiting.append(pipeline.submit(Request(Signal.TRACES, "default", body)))  # type: ignore[attr-defined]
    for future in waiting:
        future.result()  # type: ignore[attr-defined]


def _settled(parts: object) -> None:
    while parts.spool.segments():  # type: ignore[attr-defined]
        time.sleep(0.02)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _stages() -> dict[str, float]:
    from otel_exporter.telemetry import REGISTRY

    return {
        sample.labels["stage"]: sample.value
        for metric in REGISTRY.collect()
        if metric.name == "tokentide_stage_seconds"
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def _decode_ratio() -> None:
    """Columnar decode against walking upb messages, same requests, one process."""
    script = """
import json, sys, tempfile, time
from pathlib import Path
from benchmarks.traffic import requests
from clickhouse_schema.store import Store
from otel_exporter.decode import Decoder, walk
from processors.batch import Signal
bodies = list(requests(40, 512))
with tempfile.TemporaryDirectory() as d:
    store = Store.embedded(Path(d))
    def cost(f):
        f(bodies[:4]); best = 1e9
        for _ in range(3):
            started = time.process_time(); f(bodies); best = min(best, time.process_time() - started)
        return best
    columnar = cost(lambda b: Decoder(store, small_bytes=0).decode(Signal.TRACES, b, "t"))
    walked = cost(lambda b: walk(Signal.TRACES, b, "t"))
    store.close()
print(json.dumps({"columnar": 40 * 512 / columnar, "walk": 40 * 512 / walked}))
"""
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    if answer.returncode:
        sys.exit(answer.stderr)
    rates = json.loads(answer.stdout)
    print(
        f"decode: columnar {rates['columnar']:,.0f} spans/CPU-s, upb walk {rates['walk']:,.0f} spans/CPU-s, "
        f"ratio {rates['columnar'] / rates['walk']:.2f}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        case(sys.argv[2], int(sys.argv[3]))
    else:
        main()
