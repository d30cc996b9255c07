"""Memory and time of `advise`, `what-if` and the comparison's core over 7 and over 30 days of one synthetic month.

    python -m benchmarks.advice_memory            # CALLS=1000000

Each command runs in a process of its own; its peak is what the kernel says of it (ru_maxrss).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.litellm_api.directory import Directory

CALLS = int(os.environ.get("CALLS", "1000000"))
DAYS = 30
END = datetime(2026, 11, 1, tzinfo=UTC)
FILL = """
INSERT INTO otel.genai_ledger (tenant, call_key, request_key, attempt, started_at, ended_at, team, user_id, session_id,
    application, provider, operation, requested_model, model, response_model, streaming, status, input_tokens,
    output_tokens, cost_usd, cost_source, gateway, handles, sources, posted_at, version, sign)
SELECT 'default', concat('call-', toString(number)), concat('r-', toString(number)), 1,
    toDateTime64({begin:Int64}, 9, 'UTC')
        + toIntervalMillisecond(intDiv(number * {days:Int64} * 86400000, {calls:Int64})) AS at,
    at + toIntervalSecond(1 + number % 9),
    concat('team-', toString(number % 12)), concat('user-', toString(number % 3000)),
    concat('session-', toString(intDiv(number, 8))), concat('app-', toString(number % 5)), 'openai', 'chat',
    if(number % 3 = 0, 'gpt-4o-mini', 'gpt-4o') AS name, name, name, number % 4 = 0, 'ok', 1500 + number % 900,
    100 + number % 50, toDecimal64(0.005, 12), 'client', 'litellm', [concat('id:', toString(number))],
    ['litellm.callback'], at, number, 1
FROM numbers({first:Int64}, {count:Int64})
"""
COMMANDS = {
    "advise": ("advise",),
    "what-if --model": ("what-if", "--model", "gpt-4o=gpt-4o-mini"),
    "what-if --budget": ("what-if", "--budget", "team=20/day"),
}


def fill(data_dir: Path) -> None:
    """The month."""
    store = Store.embedded(data_dir)
    runner.apply(store)
    begin = int((END - timedelta(days=DAYS)).timestamp())
    for first in range(0, CALLS, 100_000):
        count = min(100_000, CALLS - first)
        store.command(FILL, {"begin": begin, "days": DAYS, "calls": CALLS, "first": first, "count": count})
    store.close()


def measured(label: str, days: int, arguments: list[str]) -> None:
    """Run it and say what it took."""
    before = time.monotonic()
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - before
    assert process.returncode == 0, (label, process.returncode)
    print(f"{label:20} {days:3} days  {usage.ru_maxrss / 1024:7.0f} MiB  {seconds:6.1f} s", flush=True)


def compare(data_dir: Path, days: int) -> None:
    """The comparison with books that are our own ledger: every call is on both sides."""
    from otel_exporter.agreement import litellm, sides
    from otel_exporter.agreement.difference import differences, pairs, together
    from otel_exporter.asking import direct

    store = Store.embedded(data_dir)
    ask, names, start = direct(store), Directory(), END - timedelta(days=days)
    read = [
        (sides.ours(ask, "default", *day, names) for day in litellm._days(start, END, sides.SLACK)) for _ in range(2)
    ]
    cells = together(
        differences(pairs(theirs.select(sides.SIDE.names()), ours, *day))
        for day, theirs, ours in zip(litellm._days(start, END), *map(litellm._neighbours, read), strict=True)
    )
    total = cells.filter(cells["dimension"] == "total")
    assert total["theirs_usd"].sum() == total["ours_usd"].sum() > 0
    store.close()


def main() -> None:
    """All of it."""
    if len(sys.argv) > 1:
        data_dir, days = Path(sys.argv[1]), int(sys.argv[2])
        if days:
            compare(data_dir, days)
        else:
            fill(data_dir)  # the embedded database belongs to one process
        return
    with tempfile.TemporaryDirectory() as place:
        data_dir = Path(place) / "d"
        measured("fill", DAYS, ["-m", "benchmarks.advice_memory", str(data_dir), "0"])
        for label, command in COMMANDS.items():
            for days in (7, DAYS):
                since = str((END - timedelta(days=days)).date())
                span = ["--since", since, "--until", str(END.date()), "--data-dir", str(data_dir)]
                measured(label, days, ["-m", "otel_exporter.cli", *command, *span])
        for days in (7, DAYS):
            measured("compare (core)", days, ["-m", "benchmarks.advice_memory", str(data_dir), str(days)])
    print(f"this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
