"""One piece of advice: what was paid, what would have been paid, and what had to be assumed to say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import polars as pl

from otel_exporter.render import Table

NOTHING: Final = Decimal(0)


@dataclass(frozen=True)
class Finding:
    """Attributes:
    kind: `model`, `cache`, `batch`, `retries` or `fallback`.
    subject: which calls.
    change: what would have been otherwise.
    calls: how many of them the two sums are of.
    actual_usd: what they cost.
    would_be_usd: what they would have cost.
    unknown_calls: calls nobody can say it of, because one of the two costs is unknown; they are in neither sum.
    basis: what is assumed.
    config: what to change in LiteLLM's configuration, as YAML; '' when nothing there does it.
    cached_tokens: input tokens of these calls that would have been read from the prompt cache.
    rescued: requests that were answered by an attempt which would not have been made; None: it is not about attempts.
    """

    kind: str
    subject: str
    change: str
    calls: int
    actual_usd: Decimal
    would_be_usd: Decimal
    unknown_calls: int
    basis: str
    config: str
    tenant: str = ""
    cached_tokens: int = 0
    rescued: int | None = None

    @property
    def assumption(self) -> str:
        """What is assumed, and whom it would have cost an answer."""
        if self.rescued is None:
            return self.basis
        return f"{self.basis}; {self.rescued} requests were answered by a later attempt"

    @property
    def saved_usd(self) -> Decimal:
        """Below zero: it would have cost more."""
        return self.actual_usd - self.would_be_usd


def total(findings: Iterable[Finding]) -> list[Finding]:
    """What was found in one stretch of time after the other, added up."""
    sums: dict[tuple[str, str, str, str], Finding] = {}
    for one in findings:
        key = (one.tenant, one.kind, one.subject, one.change)
        sums[key] = _added(sums[key], one) if key in sums else one
    return list(sums.values())


def _added(one: Finding, other: Finding) -> Finding:
    return replace(
        one,
        calls=one.calls + other.calls,
        actual_usd=one.actual_usd + other.actual_usd,
        would_be_usd=one.would_be_usd + other.would_be_usd,
        unknown_calls=one.unknown_calls + other.unknown_calls,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        rescued=None if one.rescued is None else one.rescued + (other.rescued or 0),
    )


@dataclass(frozen=True)
class Sums:
    """Two sums over the calls whose cost is known on both sides."""

    calls: int
    actual_usd: Decimal
    would_be_usd: Decimal
    unknown_calls: int


def compare(actual: pl.Series, would_be: pl.Series) -> Sums:
    """What the calls cost, and what they would have cost; nulls on either side are counted, not added."""
    both = pl.DataFrame({"actual": actual, "would_be": would_be})
    known = both.drop_nulls()
    return Sums(known.height, _sum(known["actual"]), _sum(known["would_be"]), both.height - known.height)


def _sum(dollars: pl.Series) -> Decimal:
    found = dollars.sum()
    return found if isinstance(found, Decimal) else NOTHING


def table(findings: Iterable[Finding], *, brief: bool) -> Table:
    """Findings, the largest saving first; ``brief``: for people, without the configuration."""
    ordered = sorted(findings, key=lambda one: (-one.saved_usd, one.kind, one.subject, one.change, one.tenant))
    return Table.of((_row(one, brief=brief) for one in ordered), "What would have been cheaper")


def _row(one: Finding, *, brief: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "saved_usd": one.saved_usd,
        "kind": one.kind,
        "subject": one.subject,
        "change": one.change,
        "cached_tokens": one.cached_tokens or None,
        "calls": one.calls,
        "actual_usd": one.actual_usd,
        "would_be_usd": one.would_be_usd,
        "unknown_calls": one.unknown_calls,
        "assumption": one.assumption,
    }
    return row if brief else {"tenant": one.tenant, **row, "config": one.config}
