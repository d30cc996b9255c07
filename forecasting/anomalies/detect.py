"""The detectors as a job: ask the store, find incidents, write what changed. Cheap enough for every minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from forecasting.anomalies import records, watch
from forecasting.anomalies.policy import Policy
from forecasting.anomalies.records import Incident
from forecasting.anomalies.session_watch import Sessions

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: What ended longer ago is not written again by a scheduled run: late data may still change it until then.
SETTLED: Final = timedelta(days=2)
_WITHDRAWN: Final = "no longer out of the ordinary: more data arrived, or a part of it explains it"


@dataclass(frozen=True)
class Outcome:
    """What a run found, and how many rows it wrote; a rerun over the same data finds the same and writes none."""

    incidents: list[Incident]
    written: int


class Detector:
    """The detectors with what they keep between runs: closed hours, and what sessions usually spend.

    Call it each minute from one thread. Nothing it keeps changes what it finds; a new one finds the same.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._history = watch.History()
        self._sessions = Sessions()

    def __call__(self, store: Store, now: datetime, since: datetime | None = None) -> Outcome:
        """Find what lasts at ``now`` or ended at ``since`` or later (default: two days before), and store it.

        Raises:
            StoreError: the store does not answer.
        """
        since = since or now - SETTLED
        found = watch.incidents(store, now, self._policy, self._history, since)
        found += self._withdrawn(store, found, now)
        found += self._sessions.incidents(store, now, self._policy)
        found.sort(key=lambda one: (one.started_at, one.incident_id))
        return Outcome(found, records.write(store, found, now))

    @staticmethod
    def _withdrawn(store: Store, found: list[Incident], now: datetime) -> list[Incident]:
        """Incidents that stand open and are none any more: they end now."""
        known = {one.incident_id for one in found}
        standing = records.standing(store, watch.DETECTOR, now)
        return [
            records.ended(one, now.replace(microsecond=0), _WITHDRAWN)
            for one in standing
            if one.ended_at is None and one.started_at <= now and one.incident_id not in known
        ]


def detect(store: Store, now: datetime, policy: Policy, since: datetime | None = None) -> Outcome:
    """One run of a `Detector`."""
    return Detector(policy)(store, now, since)
