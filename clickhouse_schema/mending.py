"""Rollups that disagree with the ledger are made equal to it.

Incremental views keep them equal, and an insert that a crash cut is completed by repeating it. One case is left: a
batch that was in doubt while a newer version brought a new rollup, which is filled from the ledger and then meets the
batch's rows again. `mend` without ``only`` needs the ledger to itself; where others post to it, a difference that was
there some minutes ago and is still the same is one, and not an insert under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from clickhouse_schema.rollups import ROLLUPS, VALUES_COMPLETION, Rollup

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

_ALL: Final = date(1970, 1, 1)


#: Rollup and day to by how much it disagrees with the ledger, as a text.
Differences = Mapping[tuple[str, date], str]


def differences(store: Store, since: Mapping[str, date]) -> Differences:
    """Where a rollup and the ledger disagree, and by how much; nothing is changed. ``since``: see `mend`.

    While somebody posts, an insert that has reached the ledger and not yet its views is seen as a difference, too.
    """
    found = {}
    for rollup in ROLLUPS:
        for day, difference in _wrong(store, rollup, since).items():
            found[rollup.name, day] = difference
    return found


def mend(store: Store, since: Mapping[str, date], only: Differences | None = None) -> dict[str, list[date]]:
    """Compare every rollup with the ledger, day by day, and add the difference where there is one.

    Args:
        store: where the ledger is.
        since: rollup to the first day that is compared, all of them when it is not named. Days that retention may have
            dropped must not be: they would be filled again.
        only: leave what is not one of these differences; None mends them all.

    Returns:
        Rollup to the days that were wrong; empty when everything agreed.

    Raises:
        StoreUnavailable, StoreRejected: it was cut; running it again goes on.
    """
    mended: dict[str, list[date]] = {}
    for rollup in ROLLUPS:
        wrong = _wrong(store, rollup, since)
        days = [day for day, found in wrong.items() if only is None or only.get((rollup.name, day)) == found]
        for day in days:
            store.command(rollup.day_completion(), {"day": day})
        if days:
            mended[rollup.name] = days
    if mended:
        store.command(VALUES_COMPLETION)
    return mended


def _wrong(store: Store, rollup: Rollup, since: Mapping[str, date]) -> dict[date, str]:
    return dict(store.arrow(rollup.wrong_days(), {"since": since.get(rollup.name, _ALL)}).iter_rows())
