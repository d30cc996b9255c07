"""Reloading: enrichment tables are read again when a file of theirs changes, or the configuration, or on SIGHUP.

Nothing else of the configuration is taken over while `serve` runs; what differs is named in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from otel_exporter.config.faults import ConfigFaults
from otel_exporter.enrichment import Attribution, CsvFile, sources
from otel_exporter.failures import Refused
from otel_exporter.schedule import Job
from otel_exporter.telemetry import Metric

if TYPE_CHECKING:
    from otel_exporter.config import Settings

log = structlog.get_logger(__name__)
EVERY: Final = timedelta(seconds=5)


@dataclass(frozen=True)
class Written:
    """Where the configuration is written.

    Attributes:
        file: the file that is watched, if there is one.
        read: everything that was said when we started, read anew. Raises ConfigFaults.
    """

    file: Path | None
    read: Callable[[], Settings]


class Reloading:
    """Keeps the tables in use those on disk; what cannot be read leaves them as they are."""

    def __init__(self, settings: Settings, attribution: Attribution, written: Written | None) -> None:
        self._settings = settings
        self._attribution = attribution
        self._written = written
        self._asked = threading.Event()
        self._stamp = self._stamped()
        self.job: Final = Job("enrichment", EVERY, self._run)
        _show(attribution, current=True)

    def ask(self) -> None:
        """Read everything at the next run, whether it seems to have changed or not."""
        self._asked.set()

    def _stamped(self) -> object:
        return CsvFile(self._written.file).stamp() if self._written and self._written.file else None

    def _run(self, _now: datetime, _stop: threading.Event) -> None:
        try:
            if self._attributed():
                log.info("enrichment tables read again", rules=len(self._attribution))
                _show(self._attribution, current=True)
        except (Refused, ConfigFaults) as fault:
            log.warning("enrichment tables stay as they were", reason=str(fault))
            _show(self._attribution, current=False)

    def _attributed(self) -> bool:
        """Read what is new; whether anything was."""
        stamp, asked = self._stamped(), self._asked.is_set()
        if not asked and stamp == self._stamp:
            return self._attribution.refresh()
        self._asked.clear()
        self._stamp = stamp
        if self._written is not None:
            self._take(self._written.read())
        self._attribution.replace(sources(self._settings.enrichment))
        return True

    def _take(self, settings: Settings) -> None:
        old, new = (one.model_dump(exclude={"enrichment"}) for one in (self._settings, settings))
        if others := [name for name in new if new[name] != old[name]]:
            log.warning("restart to apply what else has changed in the configuration", sections=others)
        self._settings = self._settings.model_copy(update={"enrichment": settings.enrichment})


def _show(attribution: Attribution, *, current: bool) -> None:
    Metric.ENRICHMENT_RULES.set(len(attribution))
    Metric.ENRICHMENT_CURRENT.set(int(current))
