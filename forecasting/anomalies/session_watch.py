"""Runaway sessions out of the calls of the last hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.anomalies import records
from forecasting.anomalies.causes import Contributor
from forecasting.anomalies.policy import Policy
from forecasting.anomalies.records import Incident
from forecasting.anomalies.sessions import HOUR, Limits, Runaway, Session, runaway

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

DETECTOR: Final = "session"
AXIS: Final = "session_id"
#: Hours of calls that are looked at; a session that has been running away for longer is followed for a day.
_BACK: Final = timedelta(hours=3)
_FOLLOWED: Final = timedelta(days=1)
#: Days whose sessions say what is usual, and how many hours of sessions that takes.
_USUAL_DAYS: Final = 7
_USUAL_SESSIONS: Final = 20
_MOST: Final = 200
_CAUSES: Final = ("team", "application", "user_id", "api_key_alias", "model")
_SPAN: Final = (
    "started_at >= parseDateTime64BestEffort({since:String}, 9, 'UTC') "
    "AND started_at < parseDateTime64BestEffort({until:String}, 9, 'UTC') AND session_id != ''"
)


class Sessions:
    """Finds runaway sessions; what is usual is asked once an hour."""

    def __init__(self) -> None:
        self._usual: dict[str, float] = {}
        self._usual_at: datetime | None = None

    def incidents(self, store: Store, now: datetime, policy: Policy) -> list[Incident]:
        """Sessions that run away, and those that did and have stopped."""
        lasting = {
            (one.tenant, one.value): one
            for one in records.standing(store, DETECTOR, now - _FOLLOWED)
            if one.ended_at is None
        }
        usual = self._usual_spend(store, now)
        wanted = set(_candidates(store, now, policy)) | set(lasting)
        begin = min((one.started_at for one in lasting.values()), default=now) - timedelta(hours=1)
        calls = _calls(store, max(min(begin, now - _BACK), now - _FOLLOWED), now, wanted)
        found = dict(self._judged(calls, usual, policy, now))
        gone = {key: records.ended(one, now, one.note) for key, one in lasting.items() if key not in found}
        return [*found.values(), *gone.values()]

    def _judged(
        self, calls: pl.DataFrame, usual: dict[str, float], policy: Policy, now: datetime
    ) -> Iterator[tuple[tuple[str, str], Incident]]:
        for (tenant, name), mine in calls.group_by("tenant", "session_id"):
            session = _session(str(tenant), str(name), mine.sort("at"))
            limits = Limits(policy.session_usd, policy.session_calls, usual.get(str(tenant), 0.0))
            state = runaway(session, limits)
            if state is not None:
                yield (str(tenant), str(name)), _incident(session, state, limits, mine.sort("at"), now)

    def _usual_spend(self, store: Store, now: datetime) -> dict[str, float]:
        """Per tenant: what the largest hundredth of sessions spent in an hour, as of the start of this hour."""
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self._usual_at != hour:
            rows = store.arrow(
                "SELECT tenant, quantileExact(0.99)(spent) AS usual FROM (SELECT tenant, session_id, "
                "toStartOfHour(started_at) AS hour, toFloat64(sum(ifNull(cost_usd, 0) * sign)) AS spent "
                f"FROM otel.genai_ledger WHERE {_SPAN} GROUP BY tenant, session_id, hour) "
                f"GROUP BY tenant HAVING count() >= {_USUAL_SESSIONS}",
                _between(hour - timedelta(days=_USUAL_DAYS), hour - _BACK),
            )
            self._usual, self._usual_at = dict(rows.iter_rows()), hour
        return self._usual


def _between(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": _text(since), "until": _text(until)}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _candidates(store: Store, now: datetime, policy: Policy) -> Iterable[tuple[str, str]]:
    """Sessions with enough volume in the last hour."""
    rows = store.arrow(
        "SELECT tenant, session_id FROM otel.genai_ledger "
        f"WHERE {_SPAN} GROUP BY tenant, session_id "
        "HAVING toFloat64(sum(ifNull(cost_usd, 0) * sign)) >= {usd:Float64} "
        f"ORDER BY sum(ifNull(cost_usd, 0) * sign) DESC, tenant, session_id LIMIT {_MOST}",
        {**_between(now - timedelta(hours=1), now), "usd": policy.session_usd},
    )
    return list(rows.iter_rows())


def _calls(store: Store, since: datetime, until: datetime, wanted: set[tuple[str, str]]) -> pl.DataFrame:
    names = ", ".join(f"toString({name}) AS {name}" for name in _CAUSES)
    rows = store.arrow(
        f"SELECT toString(tenant) AS tenant, session_id, toUnixTimestamp64Milli(started_at) / 1000 AS at, "
        "toFloat64(ifNull(cost_usd, 0)) AS cost, if(status = 'ok', toFloat64(input_tokens), NULL) AS input, "
        f"{names} FROM otel.genai_calls WHERE {_SPAN} AND session_id IN {{names:Array(String)}}",
        {**_between(since, until), "names": sorted({name for _, name in wanted})},
    )
    mine = pl.DataFrame(sorted(wanted), schema={"tenant": pl.String, "session_id": pl.String}, orient="row")
    return rows.with_columns(pl.col("tenant", "session_id").cast(pl.String)).join(mine, on=["tenant", "session_id"])


def _session(tenant: str, name: str, calls: pl.DataFrame) -> Session:
    inputs = calls["input"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Session(tenant, name, calls["at"].to_numpy(), calls["cost"].to_numpy(), inputs)


def _incident(session: Session, state: Runaway, limits: Limits, calls: pl.DataFrame, now: datetime) -> Incident:
    first, last = (datetime.fromtimestamp(int(session.seconds[i]), UTC) for i in (state.first, state.last))
    over = now.timestamp() - session.seconds[state.last] > HOUR
    return Incident(
        tenant=session.tenant,
        metric="cost_usd",
        axis=AXIS,
        value=session.name,
        detector=DETECTOR,
        started_at=first,
        ended_at=last if over else None,
        severity="critical" if state.critical else "warning",
        score=state.observed / limits.unusual_usd,
        observed=state.observed,
        expected=limits.usual_usd,
        lo=0.0,
        hi=limits.unusual_usd,
        impact_usd=state.excess,
        contributors=tuple(_contributors(calls)),
        note=f"{', '.join(state.signs)}: {state.observed:.2f} USD in an hour, now {state.slope:.2f} USD an hour",
    )


def _contributors(calls: pl.DataFrame) -> Iterator[Contributor]:
    """Whose session it is; of several, who spent most of it."""
    whole = calls["cost"].sum() or 1.0
    for axis in _CAUSES:
        spent = calls.group_by(axis).agg(pl.col("cost").sum()).sort(["cost", axis], descending=[True, False])
        value, cost = spent.row(0)
        if value:
            yield Contributor(axis, str(value), float(cost), 0.0, min(float(cost / whole), 1.0))
