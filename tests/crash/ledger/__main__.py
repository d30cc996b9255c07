"""``python -m tests.crash.ledger``: prints the plan, what was injected, and the counts; exit code 1 when not exact."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.crash.ledger.run import collector_or_none, run


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(prog="make ledger-test", description="Torment, then compare to the last digit.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="new calls a second")
    parser.add_argument("--keep", type=Path, default=None, help="a directory that stays, to look at")
    given = parser.parse_args()
    otelcol, why = collector_or_none()
    sys.stdout.write("" if otelcol else f"direct only, without a Collector: {why}\n")
    if given.keep:
        given.keep.mkdir(parents=True)
        return run(given.keep, given.seconds, given.seed, otelcol, given.rate).report()
    with tempfile.TemporaryDirectory(prefix="ledger-test-") as folder:
        return run(Path(folder), given.seconds, given.seed, otelcol, given.rate).report()


if __name__ == "__main__":
    sys.exit(main())
