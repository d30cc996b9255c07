"""Named points where a crash test lets the process die.

``TOKENTIDE_FAILPOINT="after-spool"`` kills this process with SIGKILL when it first reaches ``after-spool``;
``"after-spool:3"`` on the third time. The variable is read once, at import; unset, `reach` does nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, Literal, get_args

Point = Literal[
    "before-spool",  # tables are ready, nothing is on disk
    "after-spool",  # the segment is durable, its digests are not yet known to this process
    "before-ack",  # durable, the sender has not been answered
    "after-freeze",  # the batch is durable, nothing of it is inserted
    "before-insert",  # before each file of the batch
    "between-tables",  # after each file of the batch
    "after-insert",  # everything is inserted, the batch is not marked so
    "before-delete",  # marked inserted, nothing deleted
    "between-deletes",  # after each deleted segment
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)
VARIABLE: Final = "TOKENTIDE_FAILPOINT"


def _arm(setting: str) -> Callable[[Point], None]:
    """The `reach` for one value of the variable.

    Raises:
        ValueError: no such point (a crash test that never crashes proves nothing).
    """
    if not setting:
        return _pass
    name, _, times = setting.partition(":")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: no such point: {name}; points are {', '.join(POINTS)}")
    left = int(times or 1)

    def die_at(point: Point) -> None:
        nonlocal left
        left -= point == name
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return die_at


def _pass(_: Point) -> None:
    """Production: nothing happens."""


reach: Final = _arm(os.environ.get(VARIABLE, ""))
