"""Imports a LiteLLM proxy's books: names and limits, prices, and every row of its spend logs, once.

    proxy's API -> windows of rows -> OTLP log records -> the ordinary door -> (progress) -> the ledger

A window is marked as done when its rows are durable, so an import that was killed goes on where it was; what is sent
twice is the same observation, and the ledger counts a call once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from otel_exporter.imports import names, prices
from otel_exporter.imports.door import Door
from otel_exporter.imports.progress import Progress
from otel_exporter.imports.records import request
from otel_exporter.imports.spend_records import spend_request
from otel_exporter.litellm_api import directory, spend_logs
from otel_exporter.litellm_api.client import LiteLLM
from processors.batch import Signal

#: A row appears when its call has ended and LiteLLM has written its queue, under the time the call began: what is
#: younger is read again next time.
SETTLED: Final = timedelta(hours=1)
_NAMES_AT_ONCE: Final = 2000


@dataclass(frozen=True)
class Told:
    """What an import brought; ``unread`` is what the proxy does not give."""

    rows: int = 0
    windows: int = 0
    names: int = 0
    limits: int = 0
    unread: tuple[str, ...] = ()


class Importer:
    """One proxy into one data directory."""

    def __init__(
        self, proxy: LiteLLM, door: Door, progress: Progress, data_dir: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._proxy = proxy
        self._door = door
        self._progress = progress
        self._data_dir = data_dir
        self._clock = clock
        self._known = directory.Directory()
        self._recent: dict[str, datetime] = {}

    def bring_names(self) -> Told:
        """Names, limits and prices, those that are new or changed."""
        before, self._known = set(self._known.entries), directory.read(self._proxy)
        prices.keep(self._data_dir, self._known.prices)
        news = [entry for entry in self._known.entries if entry not in before]
        made = names.records(news, int(self._clock() * 1e9))
        for start in range(0, len(made), _NAMES_AT_ONCE):
            self._door.send(Signal.LOGS, request(names.SCOPE, made[start : start + _NAMES_AT_ONCE]))
        limits = sum(bool(entry.max_budget_usd) for entry in news)
        return Told(names=len(news), limits=limits, unread=self._known.unread)

    def bring_rows(self, since: datetime, advance: Callable[[float], None]) -> Told:
        """Every row that started at or after ``since`` and is not in yet; ``advance`` gets seconds of time done.

        Raises:
            Refused, RetryLater: the proxy or the door gave up; what is in is in.
        """
        now = datetime.fromtimestamp(self._clock(), UTC).replace(microsecond=0)
        settled = now - SETTLED
        told, before = Told(), frozenset[str]()
        for start, end in self._progress.missing(since.replace(microsecond=0), now):
            for window in spend_logs.windows(self._proxy, start, end):
                rows = [row for row in window.rows if (name := _name(row)) not in self._recent and name not in before]
                if body := spend_request(rows, self._known):
                    self._door.send(Signal.LOGS, body)
                self._progress.add(window.start, min(window.end, settled))
                self._remember(rows, window.end, settled)
                told = replace(told, rows=told.rows + len(rows), windows=told.windows + 1)
                before = frozenset(map(_name, window.rows))  # windows share the second between them
                advance((window.end - window.start).total_seconds())
        self._door.settle()
        return told

    def _remember(self, rows: list[spend_logs.Row], end: datetime, settled: datetime) -> None:
        """Rows of windows that will be read again need not be sent again."""
        if end > settled:
            self._recent |= {_name(row): end for row in rows}
        self._recent = {name: seen for name, seen in self._recent.items() if seen > settled}


def _name(row: spend_logs.Row) -> str:
    return str(row.get("request_id"))
