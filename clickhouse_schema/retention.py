"""How long rows are kept: the TTL of each table, changed only where it is not what is wanted.

A row whose time cannot be (never set, or beyond 2099) has no age and is kept. Migrations give new tables the TTL they
start with; `keep` brings them to what the configuration says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from clickhouse_schema.rollups import ROLLUPS
from clickhouse_schema.tables import COLUMNS, DATABASE

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: Family -> its tables and the time column that a row's age is counted from.
FAMILIES: Final[Mapping[str, Mapping[str, str]]] = {
    "traces": {"otel_traces": "Timestamp", "otel_traces_trace_id_ts": "Start"},
    "logs": {"otel_logs": "Timestamp"},
    "metrics": {table: "TimeUnix" for table in COLUMNS if table.startswith("otel_metrics_")},
    "content": {"genai_content": "last_seen"},
    "limits": {"genai_limits": "observed_at"},
    "refusals": {"genai_refusals": "observed_at"},
    "ledger": {"genai_ledger": "started_at", "genai_reversals": "started_at"},
    "rollup_minute": {"genai_rollup_minute": "bucket"},
    "rollup_hour": {"genai_rollup_hour": "bucket"},
    "rollup_day": {"genai_rollup_day": "bucket", "genai_values_counted": "day"},
    "rollup_end_user": {"genai_rollup_end_user": "bucket"},
    "imports": {"genai_names": "imported_at", "genai_agreement": "compared_at"},
    "foresight": {
        "genai_forecast": "bucket",
        "genai_budget": "as_of",
        "genai_anomaly": "started_at",
        "genai_advice": "computed_at",
    },
    "alerts": {"alert_state": "active_at"},
}
#: Tables that nothing is ever dropped from: the books, and what was migrated.
FOR_EVER: Final = frozenset({"genai_closing", "genai_statement", "schema_migrations"})
_DEFINED: Final = """
SELECT name, create_table_query AS definition FROM system.tables WHERE database = {database:String}
"""
_DAYS: Final = re.compile(r"\sTTL\s.*?\btoIntervalDay\((\d+)\)", re.DOTALL)


def keep(store: Store, days: Mapping[str, int]) -> list[str]:
    """Keep the rows of each family for so many days, 0 for ever; returns the tables that were changed.

    Rows that are too old already go at ClickHouse's next merges, not at once.
    """
    kept = kept_days(store)
    changed = []
    for family, tables in FAMILIES.items():
        for table, column in tables.items():
            if table in kept and kept[table] != days[family]:
                store.define(alteration(table, column, days[family]))
                changed.append(table)
    return changed


def kept_days(store: Store) -> dict[str, int]:
    """Table to the days its rows are kept now, 0 for ever."""
    found = store.arrow(_DEFINED, {"database": DATABASE})
    return {name: _days(definition) for name, definition in found.select("name", "definition").iter_rows()}


def whole_since(store: Store, today: date) -> dict[str, date]:
    """Rollup to the first day of which neither it nor the ledger can have dropped a part; not those that keep all."""
    kept = kept_days(store)
    shortest = {
        rollup.name: min((days for name in (rollup.name, "genai_ledger") if (days := kept.get(name, 0))), default=0)
        for rollup in ROLLUPS
    }
    return {name: today - timedelta(days=days - 1) for name, days in shortest.items() if days}


def _days(definition: str) -> int:
    found = _DAYS.search(definition)
    return int(found[1]) if found else 0


def alteration(table: str, column: str, days: int) -> str:
    """The statement that keeps the rows of ``table`` for ``days`` counted from ``column``, 0 for ever."""
    if not days:
        return f"ALTER TABLE {DATABASE}.{table} REMOVE TTL"
    never = "toDateTime64('2100-01-01 00:00:00', 9, 'UTC')"
    moment = f"toDateTime(if(toYear({column}) BETWEEN 1971 AND 2099, toDateTime64({column}, 9, 'UTC'), {never}))"
    return f"ALTER TABLE {DATABASE}.{table} MODIFY TTL {moment} + toIntervalDay({days})"
