"""What the user decides about prices: own prices, discounts, margins, and which number is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from processors.prices.names import cleaned
from processors.prices.providers import litellm_name


class Charge(StrEnum):
    """Which number is charged when a price was reported and the price book has one too."""

    REPORTED = "reported"  # what provider, gateway or client said; the price book when nobody did
    LOCAL = "local"  # the price book; what was reported when it has no price
    REPORTED_ONLY = "reported_only"  # never the price book


@dataclass(frozen=True)
class Scope:
    """The calls a term is about.

    ``models`` are names or patterns (``*`` and ``?``), compared without case with the model, the model behind its
    provider (``azure/gpt-4o``) and the model the answer named. ``provider`` is compared in any spelling; '' is every
    provider. ``since`` is inclusive, ``until`` exclusive; None is unbounded.
    """

    models: tuple[str, ...] = ("*",)
    provider: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, provider: str, names: tuple[str, ...]) -> bool:
        """Whether calls to ``provider`` of a model with one of these names are meant."""
        return self._is_provider(provider) and any(self._names(name) for name in names)

    def names_exactly(self, names: tuple[str, ...]) -> bool:
        """Whether the model is named without a pattern."""
        return any(name.lower() in {model.lower() for model in self.models} for name in names)

    def holds_at(self, moment: datetime | None) -> bool:
        """Whether the term is in force; None is before all dates."""
        started = self.since is None or (moment is not None and self.since <= moment)
        return started and (self.until is None or moment is None or moment < self.until)

    def _is_provider(self, provider: str) -> bool:
        return not self.provider or litellm_name(self.provider) == litellm_name(provider)

    def _names(self, name: str) -> bool:
        return any(fnmatchcase(name.lower(), model.lower()) for model in self.models)


@dataclass(frozen=True)
class Override:
    """Prices that win over the table from ``scope.since`` on.

    ``prices`` are fields of LiteLLM's table. ``like`` names a table entry to start from (``azure/gpt-4o``).
    """

    name: str
    scope: Scope
    prices: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""

    @property
    def version(self) -> str:
        """What `price_version` says of calls priced here."""
        return f"override:{self.name}@{self.scope.since:%Y-%m-%d}" if self.scope.since else f"override:{self.name}"


@dataclass(frozen=True)
class Discount:
    """A share of the price that is not paid: 0.1 is ten percent off."""

    share: Decimal
    scope: Scope = Scope()


@dataclass(frozen=True)
class Margin:
    """What is added after discounts: a share of the discounted price, and an amount per call."""

    share: Decimal = Decimal(0)
    per_call_usd: Decimal = Decimal(0)
    scope: Scope = Scope()


@dataclass(frozen=True)
class Policy:
    """How to settle what a call costs.

    Attributes:
        charge: which number is charged.
        believe_zero: a reported cost of 0 for a model the price book does not know means free. By default it means
            that the reporter does not know the model either.
        already_net: whose reported costs have discounts and margins in them, so that ours are not applied again.
        discounts, margins: the first whose scope covers the call applies.
    """

    charge: Charge = Charge.REPORTED
    believe_zero: bool = False
    already_net: frozenset[str] = frozenset({"provider"})
    discounts: tuple[Discount, ...] = ()
    margins: tuple[Margin, ...] = ()


def names_of(provider: str, *models: str) -> tuple[str, ...]:
    """What patterns are compared with: each model, and each behind its provider."""
    bare = tuple(dict.fromkeys(cleaned(model) for model in models if model))
    prefix = litellm_name(provider)
    return bare + tuple(f"{prefix}/{model}" for model in bare if prefix and not model.startswith(f"{prefix}/"))
