"""Incidents for the command line and the service: the policy of the configuration, a run, the list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from otel_exporter import upkeep
from otel_exporter.asking import asking, opened, table
from otel_exporter.render import Table

if TYPE_CHECKING:
    from forecasting.anomalies.policy import Policy
    from otel_exporter.config import Settings

_LIST: Final = """SELECT started_at, ended_at, severity, tenant, metric, axis, value, observed, expected, lo, hi, score,
    impact_usd, arrayMap((x, v, s) -> concat(x, ' ', v, ' ', toString(round(100 * s)), '%'), contributors.axis,
    contributors.value, contributors.share) AS causes, detector, note, incident_id
FROM genai_anomaly FINAL
WHERE started_at >= parseDateTimeBestEffort({since:String}, 'UTC')
    OR ended_at IS NULL OR ended_at >= parseDateTimeBestEffort({since:String}, 'UTC')
ORDER BY started_at DESC, incident_id"""
_NAMED: Final = 3  # causes in a line of the table


def policy(settings: Settings) -> Policy:
    """What the configuration wants watched."""
    from forecasting.anomalies.policy import Policy

    said = settings.anomalies
    return Policy(**{name: getattr(said, name) for name in Policy.__dataclass_fields__})


def detect(settings: Settings, since: datetime, now: datetime) -> str:
    """Find and store incidents that last, or ended at ``since`` or later; says in one sentence what came of it.

    Raises:
        Refused: a `serve` owns the directory, or there are no data.
    """
    from clickhouse_schema import runner
    from forecasting.anomalies.detect import detect as run

    upkeep.refuse_beside_a_serve(settings)
    with opened(settings) as store:
        runner.apply(store)
        outcome = run(store, now, policy(settings), since)
    return f"{len(outcome.incidents)} incidents found, {outcome.written} new or changed\n"


def listed(settings: Settings, since: datetime) -> Table:
    """Incidents that lasted at ``since`` or began later, newest first. Works while a `serve` is running."""
    with asking(settings) as ask:
        return table(ask, _LIST, {"since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}, "Incidents")


def brief(whole: Table) -> Table:
    """What a person wants to see of the list."""
    return Table.of((_line(dict(zip(whole.columns, row, strict=True))) for row in whole.rows), "Incidents")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "began": row["started_at"][:16].replace("T", " "),
        "ended": row["ended_at"][:16].replace("T", " ") if row["ended_at"] else "lasting",
        "severity": row["severity"],
        "what": f"{row['metric']} of {row['value'] or row['axis']}",
        "observed": float(f"{row['observed']:.4g}"),
        "expected": float(f"{row['expected']:.4g}"),
        "impact_usd": None if row["impact_usd"] is None else round(row["impact_usd"], 2),
        "cause": ", ".join(row["causes"][:_NAMED]),
    }
