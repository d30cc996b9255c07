"""100,000 rows of spend logs twice, interrupted once, overlapping with the same calls as spans: how long, how exact.

    python -m benchmarks.import_litellm [--rows 100000]

The proxy is LiteLLM's API with LiteLLM's models over HTTP in this process (`tests.litellm_books`); half of the calls
arrive as spans first. The import is killed with SIGKILL after about a third, run again to its end, and run once more
over everything. Nothing is served meanwhile: the command does all the work itself.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.house import TOKENTIDE, asked, outside
from tests.litellm_books import KEY, Books, Row, serving, span_of, spend_log, spent
from tests.unit.processors.spans import _pairs

DAYS = 89


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    count = parser.parse_args().rows
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    rows = [spend_log(number, begin + timedelta(days=DAYS) / count * number) for number in range(count)]
    with tempfile.TemporaryDirectory() as name, serving(Books(rows)) as url:
        directory = Path(name)
        measure(rows, url, directory)


def measure(rows: Sequence[Row], url: str, directory: Path) -> None:
    data, key = directory / "data", directory / "key"
    key.write_text(KEY)
    files = [write_spans(rows[start : start + 4000 : 2], directory, start) for start in range(0, len(rows), 4000)]
    timed("spans", [TOKENTIDE, "ingest", *map(str, files), "--data-dir", str(data)], directory)
    command = [
        TOKENTIDE, "import", "litellm", "--url", url, "--key-file", str(key), "--since", f"{DAYS + 1}d",
        "--data-dir", str(data), "--requests-per-second", "50",
    ]  # fmt: skip
    killed(command, data, directory)
    timed("import, the rest", command, directory)
    timed("import again, everything", [*command, "--again"], directory)
    (found,) = asked(
        data, "SELECT count() AS calls, uniqExact(call_key) AS keys, sum(cost_usd) AS usd FROM genai_calls"
    )
    twice = asked(data, "SELECT count() AS n FROM genai_calls WHERE length(sources) = 2")[0]["n"]
    exact = found["calls"] == found["keys"] == len(rows) and Decimal(found["usd"]) == spent(rows)
    print(f"calls {found['calls']} (of {len(rows)} rows), seen as span and row {twice}, dollars {found['usd']}")
    print(f"books {spent(rows)}: {'each call once, sums equal' if exact else 'NOT EQUAL'}")


def write_spans(rows: Sequence[Row], directory: Path, number: int) -> Path:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.scope.name = "litellm"
    for index, row in enumerate(rows, start=number + 1):
        start, end = (
            int(datetime.fromisoformat(row[name]).timestamp() * 1000) * 10**6 for name in ("startTime", "endTime")
        )
        span = scope.spans.add(
            trace_id=index.to_bytes(16, "big"), span_id=index.to_bytes(8, "big"), name="litellm_request"
        )
        span.start_time_unix_nano, span.end_time_unix_nano = start, end
        span.attributes.extend(_pairs(span_of(row)))
        span.status.code = 2 if row["status"] == "failure" else 1
    file = directory / f"{number}.traces.pb"
    file.write_bytes(request.SerializeToString())
    return file


def killed(command: Sequence[str], data: Path, directory: Path) -> None:
    """Until a third of the time is in."""
    began = time.perf_counter()
    running = subprocess.Popen(command, cwd=directory, env=outside())
    while running.poll() is None and seconds_done(data) < DAYS * 86_400 / 3:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    print(f"import, killed after a third: {time.perf_counter() - began:.1f} s", flush=True)


def seconds_done(data: Path) -> float:
    files = list((data / "imports").glob("litellm-*.json"))
    stretches = json.loads(files[0].read_text())["done"] if files else []
    moments = [[datetime.fromisoformat(text) for text in stretch] for stretch in stretches]
    return sum((end - start).total_seconds() for start, end in moments)


def timed(what: str, command: Sequence[str], directory: Path) -> None:
    began = time.perf_counter()
    ran = subprocess.run(command, cwd=directory, env=outside(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    print(f"{what}: {time.perf_counter() - began:.1f} s ({ran.stdout.strip()})", flush=True)


if __name__ == "__main__":
    main()
