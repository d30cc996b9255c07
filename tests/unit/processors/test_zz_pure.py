"""Two writers that race leave a broken ledger; reconcile leaves every call standing once."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.contract import LEDGER_SCHEMA
from processors.post import collapse, handles, post
from processors.reconcile import broken, reconcile
from tests.unit.processors.test_post import free
from tests.unit.processors.worlds import Call, frame, observations_of, worlds

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def found(ledger: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    wanted = handles(observations)
    return ledger.filter(pl.col("handles").list.eval(pl.element().is_in(wanted)).list.any())


@settings(max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(max_calls=4), st.data())
def test_two_racing_writers_are_mended(calls: list[Call], data: st.DataObject) -> None:
    """Each writer reads before the other's entries are there; after reconcile the ledger equals the truth."""
    rows = observations_of(calls)
    ledger = pl.DataFrame(schema=LEDGER_SCHEMA)
    order = data.draw(st.permutations(rows + rows[: data.draw(st.integers(0, len(rows)))]))
    while order:
        size = data.draw(st.integers(1, len(order)))
        group, order = order[:size], order[size:]
        cut = data.draw(st.integers(0, len(group)))
        parts = [frame(part) for part in (group[:cut], group[cut:]) if part]
        racing = [post(part, found(ledger, part), free, NOW) for part in parts]
        ledger = pl.concat([ledger, *racing])
    ledger = pl.concat([ledger, reconcile(ledger, free, NOW)])
    assert broken(ledger).is_empty()
    signed = ledger.select((pl.col("input_tokens").cast(pl.Int64) * pl.col("sign")).sum()).item() or 0
    assert signed == sum(call.tokens[0] for call in calls if not call.failed)
    assert collapse(ledger).height == len(calls)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(max_calls=3))
def test_a_healthy_ledger_is_left_alone(calls: list[Call]) -> None:
    """Reconcile posts nothing where nothing is broken."""
    ledger = pl.DataFrame(schema=LEDGER_SCHEMA)
    for row in observations_of(calls):
        ledger = pl.concat([ledger, post(frame([row]), found(ledger, frame([row])), free, NOW)])
    assert reconcile(ledger, free, NOW).is_empty()
