"""Looking a batch up in the ledger when ClickHouse refuses the question: in parts, and without what it will never take.

A question that is refused for ever would hold up every batch behind it. Whether the question is at fault, and not the
table or a right, a control question tells: then the observations are halved until what can be answered is, and those
that cannot be asked about alone are set aside. What was found for the parts together is what would have been found for
all: a look-up answers what any of its handles names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from clickhouse_schema.errors import StoreError, StoreRejected, StoreUnavailable
from processors.contract import LEDGER_SCHEMA
from processors.post import looked_up

if TYPE_CHECKING:
    from clickhouse_schema.store import Store

#: Observations of one call may start this far apart (clocks, retries inside a client span): DESIGN 5.
SKEW: Final = timedelta(hours=1)
#: The last second a DateTime64(9) can name: a sender's clock may say anything, ClickHouse refuses to be asked for more.
_END_OF_TIME: Final = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)
#: TIMEOUT_EXCEEDED, TOO_SLOW, CANNOT_ALLOCATE_MEMORY, MEMORY_LIMIT_EXCEEDED: perhaps it was too much at once.
HEAVY: Final = frozenset({159, 160, 173, 241})
#: Observations of one batch that may be set aside, as a number and as a share of it: more, and the fault is ours.
_MOST: Final = 100
_MOST_SHARE: Final = 0.01
_SAME: Final = ["call_key", "version", "sign"]


@dataclass(frozen=True)
class Asked:
    """How the ledger was asked: by these names, for calls that started in these hours."""

    handles: Sequence[str]
    since: datetime
    until: datetime


@dataclass
class Found:
    """What a look-up found.

    Attributes:
        current: ledger entries, as `processors.post.looked_up` answers them.
        asked: the questions; more than one when one was too much.
        refused: observations that nothing can be asked about.
        why: what ClickHouse said about the last of them.
    """

    current: pl.DataFrame
    asked: list[Asked]
    refused: list[pl.DataFrame] = field(default_factory=list)
    why: StoreRejected | None = None


class LookUp:
    """The look-up of one batch of one tenant."""

    def __init__(self, store: Store, tenant: str, observations: pl.DataFrame) -> None:
        self._store = store
        self._tenant = tenant
        self._observations = observations
        self._left = max(_MOST, int(_MOST_SHARE * observations.height))
        self._control: bool | None = None

    def __call__(self) -> Found:
        """Look it up.

        Raises:
            StoreUnavailable, StoreRejected: not the observations are at fault, or too many of them are.
        """
        try:
            return self._ask(self._observations)
        except StoreError as error:
            if not self._is_the_questions_fault(error):
                raise
        # By time: a piece then asks for few hours, and one wrong clock does not widen every piece.
        return self._in_parts(self._observations.sort("started_at"))

    def _in_parts(self, observations: pl.DataFrame) -> Found:
        try:
            return self._ask(observations)
        except StoreError as error:
            if not self._is_the_questions_fault(error):
                raise
            if observations.height == 1:
                return self._refused(observations, error)
        middle = observations.height // 2
        return _together(self._in_parts(observations[:middle]), self._in_parts(observations[middle:]))

    def _ask(self, observations: pl.DataFrame) -> Found:
        asked: list[str] = []
        since, until = _around(observations)

        def find(names: list[str]) -> pl.DataFrame:
            asked[:] = names
            return self._store.ledger_entries(self._tenant, names, since, until)

        return Found(looked_up(observations, find), [Asked(asked, since, until)])

    def _refused(self, observation: pl.DataFrame, error: StoreError) -> Found:
        """One that was too heavy alone may be answered later; one that was refused will never be."""
        self._left -= 1
        if not isinstance(error, StoreRejected) or self._left < 0:
            raise error
        return Found(pl.DataFrame(schema=LEDGER_SCHEMA), [], [observation], error)

    def _is_the_questions_fault(self, error: StoreError) -> bool:
        """Whether other questions of the same kind are answered now."""
        if not (isinstance(error, StoreRejected) or (isinstance(error, StoreUnavailable) and error.code in HEAVY)):
            return False
        if self._control is None:
            self._control = self._answers_another()
        return self._control

    def _answers_another(self) -> bool:
        now = datetime.now(UTC)
        try:
            self._store.ledger_entries(self._tenant, ["control"], now, now)
        except StoreError:
            return False
        return True


#: Told about observations that nothing can be asked about: whose, which, and what ClickHouse said.
SetAside = Callable[[str, pl.DataFrame, StoreRejected], None]


def _together(one: Found, other: Found) -> Found:
    """An entry that both found counts once; one that stands twice in the ledger (a race) was found twice by each."""
    parts = [found.current.with_columns(pl.int_range(pl.len()).over(_SAME).alias("@copy")) for found in (one, other)]
    current = pl.concat(parts).unique([*_SAME, "@copy"], keep="first", maintain_order=True).drop("@copy")
    return Found(current, one.asked + other.asked, one.refused + other.refused, other.why or one.why)


def _around(observations: pl.DataFrame) -> tuple[datetime, datetime]:
    """The hours in which calls that may be theirs have started."""
    since, until = observations["started_at"].min(), observations["ended_at"].max()
    assert isinstance(since, datetime) and isinstance(until, datetime)
    return since - SKEW, min(until, _END_OF_TIME - SKEW) + SKEW
