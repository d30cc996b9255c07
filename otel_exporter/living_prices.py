"""The price book in use: built anew when an import has brought prices, between two batches, without a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from otel_exporter.imports import prices as imported
from otel_exporter.pricebook import NoPriceTable
from processors.prices.written import BadTerms

if TYPE_CHECKING:
    import polars as pl

    from processors.price import PriceBook

log = structlog.get_logger(__name__)


class LivingPrices:
    """Prices calls (a `processors.post.Price`) by what is known when it is asked.

    Each batch asks once whether the file is another one: a look at the directory. What cannot be used leaves the prices
    as they were, and is said once.
    """

    def __init__(self, data_dir: Path, build: Callable[[], PriceBook]) -> None:
        """The prices of ``build``, which reads those imported into ``data_dir``. Raises what it raises."""
        self._data_dir: Final = data_dir
        self._build: Final = build
        self._changing = threading.Lock()
        self._stamp = imported.stamp(data_dir)
        self._book = build()

    def __call__(self, calls: pl.DataFrame) -> pl.DataFrame:
        """See `PriceBook.price`."""
        self._refresh()
        return self._book.price(calls)

    def _refresh(self) -> None:
        if imported.stamp(self._data_dir) == self._stamp:
            return
        with self._changing:
            stamp = imported.stamp(self._data_dir)
            if stamp == self._stamp:
                return
            try:
                self._book = self._build()
                log.info("imported prices are in use")
            except (NoPriceTable, BadTerms, ValueError) as fault:
                log.warning("prices stay as they were: imported ones cannot be used", reason=str(fault))
            self._stamp = stamp
