"""Row policies of a ClickHouse server: a role for each tenant that reads that tenant's rows and nothing else.

Views run with the rights of who asks them (`SQL SECURITY INVOKER`, ClickHouse's default), so a policy on the tables
bounds every view on top of them. Tables that say nothing of tenants are not granted at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from clickhouse_schema.tables import DATABASE
from processors.land import DEFAULT_TENANT, TENANT_ATTRIBUTE

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

_TABLES: Final = f"""
SELECT tables.name AS name, tables.engine AS engine,
    countIf(columns.name = 'tenant') > 0 AS by_column, countIf(columns.name = 'ResourceAttributes') > 0 AS by_attribute
FROM system.tables AS tables INNER JOIN system.columns AS columns
    ON columns.database = tables.database AND columns.table = tables.name
WHERE tables.database = '{DATABASE}' AND tables.engine != 'MaterializedView'
GROUP BY name, engine ORDER BY name
"""


def role(tenant: str) -> str:
    """The role that reads for ``tenant``."""
    return f"tokentide_{tenant}"


def filters(store: Store, tenant: str) -> dict[str, str]:
    """Table to the condition that its rows are of ``tenant``; views, and tables without tenants, are left out."""
    found = store.arrow(_TABLES).iter_rows(named=True)
    conditions = ((row["name"], _condition(tenant, row)) for row in found if row["engine"] != "View")
    return {name: condition for name, condition in conditions if condition}


def statements(store: Store, tenant: str, owner: str) -> Iterator[str]:
    """SQL that makes the role of ``tenant``; it may be run again. ``owner`` is the user of `serve`.

    A table with a policy shows nothing to whom no policy names (or everything: that is a setting of the server), so the
    owner gets one that shows everything.
    """
    named, user = _quoted(role(tenant)), _quoted(owner)
    yield f"CREATE ROLE IF NOT EXISTS {named}"
    for table, condition in filters(store, tenant).items():
        whole = f"{DATABASE}.{table}"
        yield f"CREATE ROW POLICY OR REPLACE tokentide_owner ON {whole} USING 1 TO {user}"
        yield f"CREATE ROW POLICY OR REPLACE {named} ON {whole} USING {condition} TO {named}"
        yield f"GRANT SELECT ON {whole} TO {named}"
    for row in store.arrow(_TABLES).iter_rows(named=True):
        if row["engine"] == "View":
            yield f"GRANT SELECT ON {DATABASE}.{row['name']} TO {named}"


def _condition(tenant: str, row: dict[str, object]) -> str:
    if row["by_column"]:
        return f"tenant = {_text(tenant)}"
    said = "" if tenant == DEFAULT_TENANT else tenant
    return f"ResourceAttributes[{_text(TENANT_ATTRIBUTE)}] = {_text(said)}" if row["by_attribute"] else ""


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
