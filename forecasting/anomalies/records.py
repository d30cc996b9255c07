"""Incidents as rows of `genai_anomaly`: written when something about them changed, so a rerun writes nothing."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from clickhouse_schema.tables import DERIVED
from forecasting.anomalies.causes import Contributor

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

_TABLE: Final = "genai_anomaly"
_FIELDS: Final = ("axis", "value", "observed", "expected", "share")
_DIGITS: Final = 9
_MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Incident:
    """A row of `genai_anomaly`, except for when it was written."""

    tenant: str
    metric: str
    axis: str
    value: str
    detector: str
    started_at: datetime
    ended_at: datetime | None
    severity: str
    score: float
    observed: float
    expected: float
    lo: float
    hi: float
    impact_usd: float | None
    contributors: tuple[Contributor, ...] = ()
    note: str = ""

    @property
    def incident_id(self) -> str:
        """The same for the same series and start, whoever finds it and when."""
        parts = (self.tenant, self.detector, self.metric, self.axis, self.value, self.started_at.strftime(_MOMENT))
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def rows(incidents: Iterable[Incident], now: datetime) -> pl.DataFrame:
    """The frame that the table takes."""
    return pl.DataFrame([_row(one, now) for one in incidents], schema=DERIVED[_TABLE], orient="row")


def _row(one: Incident, now: datetime) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(one, name) for name in DERIVED[_TABLE] if hasattr(one, name)}
    for name, value in row.items():
        if isinstance(value, float):
            row[name] = float(f"{value:.{_DIGITS}g}")
    causes = {f"contributors.{name}": [_rounded(getattr(c, name)) for c in one.contributors] for name in _FIELDS}
    return row | causes | {"updated_at": now}


def _rounded(value: object) -> object:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def write(store: Store, incidents: Sequence[Incident], now: datetime) -> int:
    """Store what differs from what is stored; answers how many rows that were."""
    if not incidents:
        return 0
    frame = rows(incidents, now)
    told = _stored(store, min(one.started_at for one in incidents))
    plain = [name for name in frame.columns if name != "updated_at"]
    known = {row[0]: row for row in told.select(plain).iter_rows()}
    changed = frame.filter(
        pl.Series([known.get(row[0]) != row for row in frame.select(plain).iter_rows()], dtype=pl.Boolean)
    )
    # Two partitions are two blocks: each month is a file and a token of its own.
    for month, part in changed.group_by(pl.col("started_at").dt.strftime("%Y%m")):
        _insert(store, part, f"anomaly/{now.isoformat()}/{month[0]}/{changed.hash_rows(seed=1).sum()}")
    return changed.height


def _insert(store: Store, frame: pl.DataFrame, token: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tokentide-") as directory:
        file = Path(directory) / "anomaly.arrow"
        frame.write_ipc(file)
        store.insert_file(_TABLE, file, token)


def _stored(store: Store, since: datetime) -> pl.DataFrame:
    columns = ", ".join(f"`{name}`" for name in DERIVED[_TABLE])
    found = store.arrow(
        f"SELECT {columns} FROM otel.genai_anomaly FINAL "
        "WHERE started_at >= parseDateTimeBestEffort({since:String}, 'UTC')",
        {"since": since.astimezone(UTC).strftime(_MOMENT)},
    )
    return found.select(pl.col(name).cast(kind) for name, kind in DERIVED[_TABLE].items())


def standing(store: Store, detector: str, since: datetime) -> list[Incident]:
    """The stored incidents of a detector that began at ``since`` or later, or have not ended."""
    columns = ", ".join(f"`{name}`" for name in DERIVED[_TABLE])
    found = store.arrow(
        f"SELECT {columns} FROM otel.genai_anomaly FINAL WHERE detector = {{detector:String}} "
        "AND (ended_at IS NULL OR started_at >= parseDateTimeBestEffort({since:String}, 'UTC'))",
        {"detector": detector, "since": since.astimezone(UTC).strftime(_MOMENT)},
    )
    return [_incident(row) for row in found.iter_rows(named=True)]


def _incident(row: dict[str, object]) -> Incident:
    lists = [row[f"contributors.{name}"] for name in _FIELDS]
    causes = tuple(Contributor(*cause) for cause in zip(*lists, strict=True))
    plain = {name: row[name] for name in Incident.__dataclass_fields__ if name in row}
    return Incident(**plain, contributors=causes)  # type: ignore[arg-type]


def ended(incident: Incident, at: datetime, note: str) -> Incident:
    """The incident, over."""
    return replace(incident, ended_at=max(at, incident.started_at), note=note)
