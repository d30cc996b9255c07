"""Finding ledger entries by the handles of their calls: the writer asks this once a batch and tenant.

Handles travel as a table, never inside SQL: an array parameter of 16,000 handles takes a tenth of a second just to be
parsed, and `hasAny` compares every handle with every other (8 s for 512 handles over 2 million rows; this way 0.2 s).
The bloom filter on `handles` skips granules only while there are few enough handles for it to say no.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from clickhouse_schema.tables import DATABASE
from processors.contract import LEDGER_COLUMNS, LEDGER_SCHEMA

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: Beyond this many handles a granule of 8,192 rows always seems to hold one of them.
_WORTH_THE_INDEX: Final = 128
#: Arrow would say an Enum's number, and nobody asks for the types here.
_COLUMNS: Final = ", ".join("toString(status) AS status" if name == "status" else name for name in LEDGER_COLUMNS)

_STANDING: Final = pl.Schema({"call_key": pl.String, "version": pl.UInt64, "net": pl.Int64})


def ledger_entries(
    store: Store, tenant: str, handles: Sequence[str], since: datetime | None, until: datetime | None
) -> pl.DataFrame:
    """See `Store.ledger_entries`."""
    if not handles:
        return pl.DataFrame(schema=LEDGER_SCHEMA)
    return _asked(store, _COLUMNS, "", tenant, handles, since, until).cast(LEDGER_SCHEMA)


def standing(
    store: Store, tenant: str, handles: Sequence[str], since: datetime | None, until: datetime | None
) -> pl.DataFrame:
    """What the entries that `ledger_entries` would answer leave: (call_key, version, net), where the net is not 0."""
    if not handles:
        return pl.DataFrame(schema=_STANDING)
    columns = "call_key, version, sum(toInt64(sign)) AS net"
    rest = "GROUP BY call_key, version HAVING net != 0"
    return _asked(store, columns, rest, tenant, handles, since, until).cast(_STANDING)


def _asked(
    store: Store,
    columns: str,
    rest: str,
    tenant: str,
    handles: Sequence[str],
    since: datetime | None,
    until: datetime | None,
) -> pl.DataFrame:
    hour = "toStartOfHour(started_at)"
    conditions = ["tenant = {tenant:String}"]
    conditions += [f"{hour} >= toStartOfHour({{since:DateTime64(9, 'UTC')}})"] if since else []
    conditions += [f"{hour} <= toStartOfHour({{until:DateTime64(9, 'UTC')}})"] if until else []
    if len(handles) <= _WORTH_THE_INDEX:
        conditions.append("indexHint(hasAny(handles, (SELECT groupArray(handle) FROM $given)))")
    conditions.append("arrayExists(handle -> handle IN (SELECT handle FROM $given), handles)")
    sql = f"SELECT {columns} FROM {DATABASE}.genai_ledger PREWHERE {' AND '.join(conditions)} {rest}"
    given = pl.DataFrame({"handle": handles}, schema={"handle": pl.String})
    bounds = {"since": since, "until": until}
    parameters = {"tenant": tenant, **{name: bound for name, bound in bounds.items() if bound is not None}}
    return store.arrow_given(sql, given, parameters)
