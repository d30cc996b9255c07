"""The journal of alerts: table `alert_state`, written as one small block per round, read when a service starts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from alerting.engine import Record
from alerting.states import RESOLVED_RETENTION, Alert
from clickhouse_schema.errors import StoreError
from clickhouse_schema.store import Store
from clickhouse_schema.tables import LANDING

TABLE: Final = "alert_state"
#: Records that wait for a store that cannot be written; the oldest give way.
_MOST_WAITING: Final = 100_000
_LIVING: Final = f"""SELECT * FROM otel.{TABLE} FINAL
WHERE state != 'resolved' OR resolved_at > {{since:DateTime64(3, 'UTC')}}"""


class StoreJournal:
    """The journal in ClickHouse. What cannot be written now is written with the next round."""

    def __init__(self, store: Store, failed: Callable[[str], None] = lambda _sentence: None) -> None:
        self._store = store
        self._failed = failed
        self._waiting: list[Record] = []

    def write(self, records: Sequence[Record]) -> None:
        """Keep these. A store that is away is no failure: the alerts are in memory and the records wait."""
        waiting = (self._waiting + list(records))[-_MOST_WAITING:]
        if not waiting:
            return
        try:
            _insert(self._store, frame(waiting))
            self._waiting = []
        except StoreError as error:
            self._waiting = waiting
            self._failed(error.sentence)

    def read(self) -> list[Record]:
        """The alerts that are not long over. Raises StoreError."""
        since = datetime.now(UTC) - RESOLVED_RETENTION - timedelta(minutes=1)
        rows = self._store.arrow(_LIVING, {"since": since.replace(tzinfo=None)})
        return [_record(row) for row in rows.iter_rows(named=True)]


def frame(records: Sequence[Record]) -> pl.DataFrame:
    """Records as rows of the table."""
    return pl.DataFrame([_row(record) for record in records], schema=LANDING[TABLE], orient="row")


def _row(record: Record) -> dict[str, Any]:
    alert = record.alert
    return {
        "rule": record.rule,
        "rule_group": record.group,
        "fingerprint": alert.fingerprint,
        "tenant": alert.labels.get("tenant", ""),
        "severity": alert.labels.get("severity", ""),
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "value": alert.value,
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
        "keep_until": alert.keep_until,
        "resolved_at": alert.resolved_at,
        "last_sent_at": alert.last_sent_at,
        "updated_at": record.updated_at,
    }


def _record(row: dict[str, Any]) -> Record:
    same = ("value", "state", "active_at", "fired_at", "keep_until", "resolved_at", "last_sent_at")
    alert = Alert(dict(row["labels"]), dict(row["annotations"]), **{name: row[name] for name in same})
    return Record(row["rule_group"], row["rule"], alert, row["updated_at"])


def _insert(store: Store, rows: pl.DataFrame) -> None:
    """One block from a file that never touches a disk."""
    descriptor = os.memfd_create(TABLE)
    try:
        path = Path(f"/proc/self/fd/{descriptor}")
        with path.open("wb") as file:
            rows.write_ipc(file)
        store.insert_file(TABLE, path, f"{TABLE}/{secrets.token_hex(8)}")
    finally:
        os.close(descriptor)
