"""What a piece of advice is: a question in SQL, what its answer means, and the change that mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

#: What a question may answer, and what is assumed when it does not.
COLUMNS: Final[Mapping[str, Any]] = {"subject": "", "side": "", "count": 0, "of": 0, "example": "", "detail": ""}
MOST_SUBJECTS: Final = 1000
NOWHERE: Final = ""


class Severity(StrEnum):
    """How bad it is."""

    LOST = "lost"  # calls, tokens or money that nobody can know
    MISSING = "missing"  # who asked, or what exactly: the money is right
    NOTE = "note"  # good to know


@dataclass(frozen=True)
class Mend:
    """A change that mends it: where (or `NOWHERE`), and exactly what. Both may use the answer's columns in braces."""

    where: str
    change: str


@dataclass(frozen=True)
class Rule:
    """One thing the doctor looks for.

    Attributes:
        name: stable name for programs.
        severity: how bad it is.
        sql: answers one row per ``subject`` (a service, a model ...) that is concerned, with some of `COLUMNS`:
            ``count`` are the cases, ``of`` how many could have been, ``example`` a trace id, ``side`` picks the mend.
        loss: what is lost, one sentence; may use the answer's columns in braces.
        mends: the change by ``side``; the key '' serves all others.
        page: page under docs/clients that explains it; may use the answer's columns.
    """

    name: str
    severity: Severity
    sql: str
    loss: str
    mends: Mapping[str, Mend]
    page: str

    def finding(self, answer: Mapping[str, Any]) -> Finding:
        """This rule's finding about one subject."""
        row = {**COLUMNS, **answer}
        mend = self.mends.get(row["side"]) or self.mends[""]
        return Finding(
            rule=self.name,
            severity=self.severity,
            subject=row["subject"],
            count=int(row["count"]),
            of=int(row["of"]),
            example=row["example"],
            loss=self.loss.format_map(row),
            mend_in=mend.where.format_map(row),
            mend=mend.change.format_map(row),
            page="docs/clients/" + self.page.format_map(row),
        )


@dataclass(frozen=True)
class Finding:
    """What the data show. ``example`` is a trace id; ``mend`` is what to write ``mend_in`` some place."""

    rule: str
    severity: Severity
    subject: str
    count: int
    of: int
    example: str
    loss: str
    mend_in: str
    mend: str
    page: str = field(default="")
