"""What the books say was closed: one row of `genai_closing` a period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from otel_exporter.asking import Ask, table

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

_CLOSINGS: Final = """SELECT closing_id, period, timezone, starts_at, ends_at, cut_at, unfinished, row_count, calls,
    cost_usd, csv_sha256, parquet_sha256, focus_sha256
FROM genai_closing ORDER BY starts_at, cut_at"""


@dataclass(frozen=True)
class Closing:
    """A closed period: calls that started from ``starts_at`` until before ``ends_at``, as posted up to ``cut_at``."""

    closing_id: str
    period: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    cut_at: datetime
    unfinished: bool
    row_count: int
    calls: int
    cost_usd: str | None
    csv_sha256: str
    parquet_sha256: str
    focus_sha256: str

    @classmethod
    def of(cls, row: dict[str, Any]) -> Closing:
        """From a row of an answer, in which moments are ISO 8601."""
        return cls(**row | {name: moment(row[name]) for name in ("starts_at", "ends_at", "cut_at")})


def moment(text: str) -> datetime:
    """A moment as ClickHouse answers it."""
    said = datetime.fromisoformat(text)
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def closings(ask: Ask) -> list[Closing]:
    """Every closed period, the earliest first."""
    answer = table(ask, _CLOSINGS)
    return [Closing.of(dict(zip(answer.columns, row, strict=True))) for row in answer.rows]


def last_cut(store: Store) -> datetime | None:
    """Until when the books are cut; None while no period was closed."""
    found = store.arrow("SELECT max(cut_at) AS cut FROM otel.genai_closing HAVING count() > 0")
    cut = found["cut"].to_list()
    return cut[0] if cut else None
