"""A run of forecasts over a fleet, in a process of its own, for a test to cut: says when the first are done."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from clickhouse_schema.store import Store
from forecasting import rollups
from forecasting.forecast import Wish
from forecasting.frequency import HOUR
from forecasting.run import run

AS_OF = datetime(2026, 11, 16, tzinfo=UTC)
ASKED = rollups.question(AS_OF, "user_id", "cost_usd", HOUR)
WISH = Wish(24)


def main() -> None:
    """Two workers, over the store of the directory that is named."""
    with Store.embedded(Path(sys.argv[1])) as store:
        outcome = run(store, ASKED, WISH, workers=2, progress=lambda done, total: print(done, total, flush=True))
    print("finished", outcome.earlier, len(outcome.forecasts), flush=True)


if __name__ == "__main__":
    main()
