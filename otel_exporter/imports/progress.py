"""How far an import has come: which stretches of time are in, in a file that is whole after a crash or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from otel_exporter import durable

Stretch = tuple[datetime, datetime]
_DAY: Final = timedelta(days=1)


class Progress:
    """Stretches of time that were imported from one place for one tenant. Whole seconds, UTC."""

    def __init__(self, data_dir: Path, place: str, tenant: str) -> None:
        name = hashlib.blake2b(f"{place}\0{tenant}".encode(), digest_size=6).hexdigest()
        self._file = data_dir / "imports" / f"litellm-{name}.json"
        self._place = place
        self._done: list[Stretch] = []
        if self._file.exists():
            told = json.loads(self._file.read_text(encoding="utf-8"))["done"]
            self._done = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in told]

    @property
    def done(self) -> list[Stretch]:
        """What is in, oldest first, joined where it touches."""
        return list(self._done)

    def missing(self, start: datetime, end: datetime) -> Iterator[Stretch]:
        """What of ``start`` to ``end`` is not in yet, cut at midnight."""
        for first, last in [*self._done, (end, end)]:
            if last <= start:
                continue
            if first > start:
                yield from _days(start, min(first, end))
            start = max(start, last)
            if start >= end:
                return

    def add(self, start: datetime, end: datetime) -> None:
        """A stretch is in, durably."""
        if end <= start:
            return
        joined: list[Stretch] = []
        for first, last in sorted([*self._done, (start, end)]):
            if joined and first <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], last)
            else:
                joined.append((first, last))
        self._done = joined
        told = {"place": self._place, "done": [[start.isoformat(), end.isoformat()] for start, end in joined]}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with durable.new_file(self._file) as file:
            file.write(json.dumps(told, indent=1).encode())

    def forget(self) -> None:
        """Begin anew."""
        self._done = []
        self._file.unlink(missing_ok=True)


def _days(start: datetime, end: datetime) -> Iterator[Stretch]:
    while start < end:
        midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        yield start, min(midnight, end)
        start = min(midnight, end)
