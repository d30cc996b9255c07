"""What happened, drawn over every graph: prices that changed, anomalies, alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build

from grafana.query import Format, Query, source
from grafana.sql import chosen

_TENANT: Final = "$__conditionalAll({0}.tenant IN (${{tenant:singlequote}}), $tenant)"

#: A model's first price in sight is no change; a call without a price is none either.
PRICES: Final = f"""
SELECT v.first AS time, concat('New price of ', v.model) AS title, concat('now ', v.price_version) AS text,
  ['price'] AS tags
FROM (
  SELECT e.model AS model, e.price_version AS price_version, min(e.started_at) AS first,
    min(min(e.started_at)) OVER (PARTITION BY e.model) AS earliest
  FROM otel.genai_ledger AS e
  WHERE $__timeFilter(e.started_at) AND e.price_version != '' AND {chosen("e", "tenant", "model")}
  GROUP BY e.model, e.price_version
  HAVING sum(e.sign) > 0
) AS v
WHERE v.first > v.earliest
ORDER BY time
"""
ANOMALIES: Final = f"""
SELECT a.started_at AS time, ifNull(a.ended_at, $__toTime) AS timeEnd,
  concat(a.severity, ': ', a.metric, ' of ', if(a.value = '', a.axis, a.value)) AS title,
  concat('saw ', toString(round(a.observed, 4)), ', expected ', toString(round(a.expected, 4))) AS text,
  ['anomaly', a.severity] AS tags
FROM otel.genai_anomaly AS a FINAL
WHERE a.started_at >= $__fromTime - INTERVAL 1 DAY AND a.started_at <= $__toTime
  AND ifNull(a.ended_at, $__toTime) >= $__fromTime AND {_TENANT.format("a")}
ORDER BY time
"""
ALERTS: Final = f"""
SELECT assumeNotNull(s.fired_at) AS time, ifNull(s.resolved_at, $__toTime) AS timeEnd, s.rule AS title,
  s.annotations['summary'] AS text, ['alert', s.severity] AS tags
FROM otel.alert_state AS s FINAL
WHERE s.fired_at IS NOT NULL AND s.active_at >= $__fromTime - INTERVAL 7 DAY AND s.fired_at <= $__toTime
  AND ifNull(s.resolved_at, $__toTime) >= $__fromTime AND {_TENANT.format("s")}
ORDER BY time
"""


def all_of_them() -> Iterator[build.AnnotationQuery]:
    """Every annotation, on from the start; a switch above the panels turns one off."""
    for name, colour, sql in (
        ("Price changes", "blue", PRICES),
        ("Anomalies", "red", ANOMALIES),
        ("Alerts", "orange", ALERTS),
    ):
        yield (
            build.AnnotationQuery()
            .name(name)
            .datasource(source())
            .enable(True)
            .hide(False)
            .icon_color(colour)
            .target(Query(sql, Format.TABLE, "Anno"))
        )
