"""Where a month is closed: by the `serve` that posts to the ledger, or by this process when there is none."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from otel_exporter import runfile, upkeep
from otel_exporter.asking import tell
from otel_exporter.books import closing

if TYPE_CHECKING:
    from otel_exporter.assembly import Assembly
    from otel_exporter.config import Settings


def close(settings: Settings, period: str, *, unfinished: bool) -> dict[str, Any]:
    """Close a month; what `closed` says.

    Raises:
        Refused, RetryLater: see `closing.close`.
    """
    if (running := runfile.find(settings.store.data_dir)) is not None:
        question = {"period": period, "unfinished": unfinished}
        answer: dict[str, Any] = json.loads(tell(running, "/api/close", question, 2 * closing.PATIENCE))
        return answer
    with upkeep.upkeep(settings) as parts:
        return closed(parts, period, settings.books.timezone, unfinished=unfinished)


def closed(parts: Assembly, period: str, timezone: str, *, unfinished: bool) -> dict[str, Any]:
    """Close a month here: the columns of `record.Closing`, and ``new``, whether it was closed just now."""
    said, new = closing.close(parts, period, timezone, datetime.now(UTC), unfinished=unfinished)
    values = {name: _plain(value) for name, value in asdict(said).items()}
    return {**values, "new": new}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
