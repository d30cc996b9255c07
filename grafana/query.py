"""A ClickHouse query as grafana-clickhouse-datasource 4.20 writes it; the SDK has no type of its own for it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common

PLUGIN: Final = "grafana-clickhouse-datasource"
PLUGIN_VERSION: Final = "4.20.0"


class Format(IntEnum):
    """How the plugin shapes the rows."""

    TIMESERIES = 0
    TABLE = 1
    LOGS = 2
    TRACES = 3


class ClickHouseQuery(variants.Dataquery):
    """One target of a panel or annotation."""

    def __init__(self, sql: str, shape: Format, ref_id: str = "A") -> None:
        self.sql = sql.strip()
        self.shape = shape
        self.ref_id = ref_id

    def to_json(self) -> dict[str, Any]:
        """As it stands in the dashboard."""
        kind = self.shape.name.lower()
        return {
            "refId": self.ref_id,
            "datasource": {"type": PLUGIN, "uid": "${datasource}"},
            "editorType": "sql",
            "format": int(self.shape),
            "queryType": kind,
            "pluginVersion": PLUGIN_VERSION,
            "rawSql": self.sql,
        }


class Query(cogbuilder.Builder[ClickHouseQuery]):
    """The SDK wants builders."""

    def __init__(self, sql: str, shape: Format, ref_id: str = "A") -> None:
        self._query = ClickHouseQuery(sql, shape, ref_id)

    def build(self) -> ClickHouseQuery:
        """The query."""
        return self._query


def source() -> common.DataSourceRef:
    """The data source that the dashboard's first variable chooses."""
    return common.DataSourceRef(type_val=PLUGIN, uid="${datasource}")
