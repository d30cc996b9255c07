"""Rollups that disagree with the ledger are made equal to it.

Incremental views keep them equal, and an insert that a crash cut is completed by repeating it. One case is left: a
batch that was in doubt while a newer version brought a new rollup, which is filled from the ledger and then meets the
batch's rows again. Nobody may post to the ledger while this runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from clickhouse_schema.rollups import ROLLUPS, VALUES_COMPLETION

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

_ALL: Final = date(1970, 1, 1)


def mend(store: Store, since: Mapping[str, date]) -> dict[str, list[date]]:
    """Compare every rollup with the ledger, day by day, and add the difference where there is one.

    Args:
        store: where the ledger is.
        since: rollup to the first day that is compared, all of them when it is not named. Days that retention may have
            dropped must not be: they would be filled again.

    Returns:
        Rollup to the days that were wrong; empty when everything agreed.

    Raises:
        StoreUnavailable, StoreRejected: it was cut; running it again goes on.
    """
    mended: dict[str, list[date]] = {}
    for rollup in ROLLUPS:
        days = store.arrow(rollup.wrong_days(), {"since": since.get(rollup.name, _ALL)})["day"].to_list()
        for day in days:
            store.command(rollup.day_completion(), {"day": day})
        if days:
            mended[rollup.name] = days
    if mended:
        store.command(VALUES_COMPLETION)
    return mended
