"""A fleet of hourly series through the whole path: rollup, backtest, forecast, `genai_forecast`.

    .venv/bin/python -m benchmarks.forecast_fleet [--series 1000] [--workers 2]

Eight weeks of history, seven days ahead, in an embedded database that is thrown away. The first run is cut in the
middle as Ctrl-C would; the second goes on.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from forecasting import rollups
from forecasting.forecast import Wish
from forecasting.frequency import HOUR
from forecasting.run import run

AS_OF = datetime(2026, 11, 16, tzinfo=UTC)
USAGE = """INSERT INTO otel.genai_rollup_hour (bucket, tenant, user_id, calls, cost_usd)
SELECT toDateTime('2026-11-16 00:00:00', 'UTC') - toIntervalHour(1 + number % 1344) AS bucket, 'fleet',
    toString(intDiv(number, 1344)) AS user_id, 5,
    toDecimal128(greatest(0, 3 + 2 * sin(toHour(bucket) * pi() / 12) - (toDayOfWeek(bucket) > 5)
        + 0.5 * randNormal(0, 1)), 12)
FROM numbers({rows:UInt64})"""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--series", type=int, default=1000)
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    asked = rollups.question(AS_OF, "user_id", "cost_usd", HOUR, given.series)
    with tempfile.TemporaryDirectory() as directory, Store.embedded(Path(directory)) as store:
        runner.apply(store)
        store.command(USAGE, {"rows": given.series * 1344})
        peak = _Peak()

        def half(done: int, total: int) -> None:
            if done >= total // 2:
                raise KeyboardInterrupt

        began = time.monotonic()
        try:
            run(store, asked, Wish(168), workers=given.workers, progress=half)
        except KeyboardInterrupt:
            print(f"cut after {time.monotonic() - began:.0f} s")
        again = run(store, asked, Wish(168), workers=given.workers)
        wall = time.monotonic() - began
        rows = store.command("SELECT count() FROM otel.genai_forecast")
    cpu = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{again.earlier} done before the cut, {len(again.forecasts)} after, {rows} rows")
    print(f"series={given.series} seconds={wall:.0f} cpu_seconds={cpu:.0f} peak_mib={peak.stop():.0f}")


class _Peak:
    """The most memory this process and its children had together, in MiB, looked at twice a second."""

    def __init__(self) -> None:
        self._most, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.5):
            own = Path("/proc/self/task")
            children = {child for task in own.glob("*/children") for child in task.read_text().split()}
            self._most = max(self._most, sum(map(_resident, ("self", *children))))

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._most


def _resident(process: str) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
