"""Probe tables: an empty copy of a table is offered a file, to learn whether the table itself refuses it.

Asked where others write to the same table, so that what it holds says nothing. A process that dies in between leaves
its copy behind; `sweep` removes such, but none that another receiver may be asking at this moment.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from clickhouse_schema.tables import DATABASE, INSERTED

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: No insert takes so long.
ABANDONED: Final = timedelta(hours=1)
_NAMED: Final = re.compile(rf"({'|'.join(INSERTED)})_probe_[0-9a-f]{{8}}")
_OLD: Final = """
SELECT name FROM system.tables WHERE database = {database:String} AND name LIKE '%\\_probe\\_%'
    AND metadata_modification_time <= now() - toIntervalSecond({seconds:UInt32})
"""


def name(table: str) -> str:
    """A new probe's name."""
    return f"{table}_probe_{secrets.token_hex(4)}"


def sweep(store: Store, abandoned: timedelta = ABANDONED) -> list[str]:
    """Drop the probes that are older than ``abandoned``, by ClickHouse's clock; returns their names."""
    asked = {"database": DATABASE, "seconds": int(abandoned.total_seconds())}
    found = [table for table in store.arrow(_OLD, asked)["name"] if _NAMED.fullmatch(table)]
    for table in found:
        store.command(f"DROP TABLE IF EXISTS {DATABASE}.{table}")
    return found
