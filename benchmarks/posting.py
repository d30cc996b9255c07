"""Posting grows with what is posted: CPU time of the join (look-up excluded) for n calls and for ten times as many.

``python -m benchmarks.posting [calls]`` posts the observations of the whole corpus, over and over as other calls, onto
an empty ledger and then onto one that knows them all. The last line is the growth of both for ten times the calls.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import polars as pl

from benchmarks.dialects import requests
from otel_exporter.decode import Decoder
from otel_exporter.pricebook import price_book
from processors.batch import Signal
from processors.contract import LEDGER_SCHEMA
from processors.identify import with_keys
from processors.normalise import Normalise
from processors.post import post

NOW = datetime(2026, 11, 22, tzinfo=UTC)
EMPTY = pl.DataFrame(schema=LEDGER_SCHEMA)


def main() -> None:
    """Measure both sizes and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    decode, normalise, price = Decoder(None), Normalise(), price_book().price
    once = with_keys(normalise(decode.decode(Signal.TRACES, list(requests(1)), "t")).observations)
    copies = calls // post(once, EMPTY, price, NOW).height
    costs = []
    for size in (copies, 10 * copies):
        heard = pl.concat(
            with_keys(normalise(decode.decode(Signal.TRACES, [body], "t")).observations) for body in requests(size)
        )
        new, ledger = _cost(heard, EMPTY, price)
        again, _ = _cost(heard, ledger, price)
        costs.append((new, again))
        print(
            f"{ledger.height} calls of {heard.height} observations: "
            f"new {1e6 * new / ledger.height:.1f} us/call, all known {1e6 * again / ledger.height:.1f} us/call"
        )
    (new, again), (new_10, again_10) = costs
    print(f"posting_growth_10x new={new_10 / new:.2f} known={again_10 / again:.2f}")


def _cost(heard: pl.DataFrame, ledger: pl.DataFrame, price: object) -> tuple[float, pl.DataFrame]:
    """Best of three, in seconds of CPU; and the entries."""
    best, entries = float("inf"), EMPTY
    for _ in range(3):
        started = time.process_time()
        entries = post(heard, ledger, price, NOW)  # type: ignore[arg-type]
        best = min(best, time.process_time() - started)
    return best, entries


if __name__ == "__main__":
    main()
