"""The variables of a dashboard. Their values come from `genai_values`, so that opening a dashboard is cheap."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard

from grafana.macros import ALL
from grafana.query import PLUGIN, source
from grafana.sql import UNSAID

_LABELS: Final = {
    "tenant": "Tenant",
    "team": "Team",
    "application": "Application",
    "provider": "Provider",
    "model": "Model",
    "user_id": "User",
    "api_key_alias": "Key",
    "project": "Project",
    "cost_center": "Cost centre",
    "environment": "Environment",
    "requested_model": "Requested model",
}


def datasource() -> build.DatasourceVariable:
    """Which ClickHouse; called as dashboard-linter wants it."""
    return build.DatasourceVariable("datasource").label("Data Source").type(PLUGIN).multi(False).include_all(False)


def values_of(key: str) -> str:
    """The values a column takes in the time range, the most used first."""
    tenant = "" if key == "tenant" else "\n  AND $__conditionalAll(v.tenant IN (${tenant:singlequote}), $tenant)"
    return f"""SELECT v.value AS value
FROM otel.genai_values AS v
WHERE v.key = '{key}' AND v.day >= toDate($__fromTime) AND v.day <= toDate($__toTime){tenant}
GROUP BY value
ORDER BY sum(v.calls) DESC, value
LIMIT 1000"""


def _or_unsaid(sql: str) -> str:
    """The same, and last what nobody said."""
    return f"SELECT arrayJoin(arrayPushBack(groupArray(value), '{UNSAID}')) AS value FROM (\n{sql}\n)"


def chooser(column: str) -> Any:
    """Several values, or all."""
    sql = values_of(column)
    return (
        _query(column, _LABELS[column], sql if column == "tenant" else _or_unsaid(sql))
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text="All", value=ALL))
    )


def one_of(name: str, label: str, sql: str) -> Any:
    """Exactly one value; the first one to begin with."""
    return _query(name, label, sql).multi(False).include_all(False)


def choice(name: str, label: str, options: dict[str, str]) -> Any:
    """One of a fixed list: what is shown -> value."""
    first_text, first = next(iter(options.items()))
    return (
        build.CustomVariable(name)
        .label(label)
        .values(", ".join(f"{text} : {value}" for text, value in options.items()))
        .multi(False)
        .include_all(False)
        .current(dashboard.VariableOption(selected=True, text=first_text, value=first))
    )


def text(name: str, label: str) -> Any:
    """Something typed in, or given by a link."""
    return build.TextBoxVariable(name).label(label).default_value("")


def _query(name: str, label: str, sql: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(source())
        .query({"editorType": "sql", "rawSql": sql, "refId": name})
        .definition(sql)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.DISABLED)
    )
