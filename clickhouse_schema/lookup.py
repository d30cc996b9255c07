"""Finding ledger entries by the handles of their calls (placeholder route; measured below)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from processors.contract import LEDGER_COLUMNS, LEDGER_SCHEMA

if TYPE_CHECKING:
    from clickhouse_schema.store import Store


def ledger_entries(
    store: Store, tenant: str, handles: Sequence[str], since: datetime | None, until: datetime | None
) -> pl.DataFrame:
    if not handles:
        return pl.DataFrame(schema=LEDGER_SCHEMA)
    where = ["tenant = {tenant:String}", "arrayExists(h -> h IN {handles:Array(String)}, handles)"]
    if since: where.append("toStartOfHour(started_at) >= toStartOfHour({since:DateTime64(9,'UTC')})")
    if until: where.append("toStartOfHour(started_at) <= toStartOfHour({until:DateTime64(9,'UTC')})")
    sql=f"SELECT {', '.join(LEDGER_COLUMNS)} FROM otel.genai_ledger WHERE {' AND '.join(where)}"
    return store.arrow(sql, {"tenant": tenant, "handles": list(handles), "since": since, "until": until}).cast(LEDGER_SCHEMA)
