"""A card: every price that may apply to calls of one provider, model and tier, each with its conditions.

Cards are computed per distinct `Key`, in Python; which of its lines applies to a call (by size, hour and date) and the
arithmetic are done for all calls at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

from processors.prices.entry import Entry, amount, first_amount, thresholds, tiers
from processors.prices.providers import openai_residency, vertex_location
from processors.prices.rates import FREE, NOTHING, UNKNOWN, Rates
from processors.prices.special import REACHED_IS_CROSSED, rates_for, router_fee
from processors.prices.standard import BATCH, TIER_SUFFIX, Case
from processors.prices.table import Found, Table
from processors.prices.terms import Discount, Margin, Override, Policy, names_of

#: More tokens than any call has; also the upper bound of the last line of a card.
MOST_TOKENS: Final = 10**10
_PER_QUERY: Final = frozenset({"rerank", "search"})
#: Operations billed in units that telemetry does not carry (seconds of sound, characters), save by token.
_OTHER_UNITS: Final = {
    "transcription": ("input_cost_per_second", "output_cost_per_second"),
    "audio_transcription": ("input_cost_per_second", "output_cost_per_second"),
    "speech": ("input_cost_per_character",),
    "text_to_speech": ("input_cost_per_character",),
    "image_generation": ("output_cost_per_image", "input_cost_per_image", "input_cost_per_pixel"),
    "image_edit": ("output_cost_per_image", "input_cost_per_image", "input_cost_per_pixel"),
}
_BATCH_TIERS: Final = frozenset({"batch", "batches"})

_Term = TypeVar("_Term", Discount, Margin)


class Key(NamedTuple):
    """What telemetry says that decides the price, apart from sizes and times."""

    provider: str
    model: str
    answered: str = ""  # the model that answered, when its name can be trusted
    operation: str = ""
    tier: str = ""
    host: str = ""
    location: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a card: rates, and when they apply.

    ``above`` < input tokens <= ``up_to``; ``since`` <= start of the call < ``until`` (None is unbounded); ``window`` is
    the block of off-peak hours and ``off_peak`` whether this line holds inside them (both None: at every hour).
    """

    rates: Rates
    above: int = -1
    up_to: int = MOST_TOKENS
    since: datetime | None = None
    until: datetime | None = None
    window: Mapping[str, Any] | None = None
    off_peak: bool | None = None
    entry: str = ""
    version: str = ""
    by_size: bool = False
    discount: Decimal = NOTHING
    margin: Decimal = NOTHING
    margin_per_call: Decimal = NOTHING


@dataclass(frozen=True)
class Cards:
    """Makes cards from LiteLLM's table, the user's prices and terms."""

    table: Table
    version: str
    overrides: Sequence[Override]
    policy: Policy

    def card(self, key: Key) -> list[Line]:
        """The lines of one card; exactly one applies to any call. A model nobody prices has lines of unknown rates."""
        names = names_of(key.provider, key.model, key.answered)
        terms: list[Override | Discount | Margin] = [*self.overrides, *self.policy.discounts, *self.policy.margins]
        scopes = [term.scope for term in terms]
        near = [scope for scope in scopes if scope.covers(key.provider, names)]
        dates = sorted({date for scope in near for date in (scope.since, scope.until) if date})
        return [
            line for since, until in pairwise([None, *dates, None]) for line in self._lines(key, names, since, until)
        ]

    def _lines(
        self, key: Key, names: tuple[str, ...], since: datetime | None, until: datetime | None
    ) -> Iterator[Line]:
        """The lines of a span of time in which no date lies."""
        override = _ruling(self.overrides, key, names, since)
        found = self._found(key) if override is None else self._like(override, key)
        discount = _first_term(self.policy.discounts, key, names, since)
        margin = _first_term(self.policy.margins, key, names, since)
        for above, up_to, window, off_peak in _conditions(found):
            rates = _rates(found, key, above + 1, window if off_peak else None, self.table)
            yield Line(
                rates=rates,
                above=above,
                up_to=up_to,
                since=since,
                until=until,
                window=window,
                off_peak=off_peak,
                entry=found.name if found else "",
                version=(override.version if override else self.version) if rates != UNKNOWN else "",
                by_size=bool(found and found.by_size),
                discount=discount.share if discount else NOTHING,
                margin=margin.share if margin else NOTHING,
                margin_per_call=margin.per_call_usd if margin else NOTHING,
            )

    def _found(self, key: Key) -> Found | None:
        """The entry of the model that answered, else of the model that was asked."""
        unpriced = None
        for model in dict.fromkeys((key.answered, key.model)):
            found = self.table.find(key.provider, model, key.host, key.operation)
            if found and _says_a_price(found.entry):
                return found
            unpriced = unpriced or found
        return unpriced

    def _like(self, override: Override, key: Key) -> Found:
        base = self.table.find("", override.like) or self.table.find(key.provider, override.like)
        if override.like and base:
            return Found(override.name, base.provider, {**base.entry, **override.prices})
        return Found(override.name, "", override.prices)


def _says_a_price(entry: Entry) -> bool:
    return any("cost" in field and amount(entry, field) is not None for field in entry) or bool(tiers(entry))


def _ruling(
    overrides: Sequence[Override], key: Key, names: tuple[str, ...], moment: datetime | None
) -> Override | None:
    """The override in force: one that names the model before a pattern, then the latest, then the last written."""
    ruling = [o for o in overrides if o.scope.covers(key.provider, names) and o.scope.holds_at(moment)]
    dated = [(o.scope.names_exactly(names), o.scope.since.timestamp() if o.scope.since else 0.0, i)
             for i, o in enumerate(ruling)]  # fmt: skip
    return ruling[max(dated)[2]] if dated else None


def _first_term(terms: Sequence[_Term], key: Key, names: tuple[str, ...], moment: datetime | None) -> _Term | None:
    return next((t for t in terms if t.scope.covers(key.provider, names) and t.scope.holds_at(moment)), None)


def _conditions(found: Found | None) -> Iterator[tuple[int, int, Mapping[str, Any] | None, bool | None]]:
    """Input sizes and hours that may price differently: (above, up to, window, off-peak)."""
    entry: Entry = found.entry if found else {}
    bounds = set(thresholds(entry))
    if found and found.provider in REACHED_IS_CROSSED:
        bounds |= {bound - 1 for bound in bounds}
    bounds |= {int(end) for tier in tiers(entry) for end in tier.get("range", ())} | ({0} if tiers(entry) else set())
    block = entry.get("off_peak_pricing")
    window = block if isinstance(block, Mapping) else None
    for above, up_to in pairwise([-1, *sorted(b for b in bounds if 0 <= b < MOST_TOKENS), MOST_TOKENS]):
        for off_peak in (None,) if window is None else (False, True):
            yield above, up_to, window, off_peak


def _rates(found: Found | None, key: Key, input_tokens: int, off_peak: Mapping[str, Any] | None, table: Table) -> Rates:
    if found is None:
        return UNKNOWN
    entry = found.entry
    if key.operation in _PER_QUERY and (query := amount(entry, "input_cost_per_query")):
        return replace(FREE, per_call=query)
    if key.operation in _OTHER_UNITS and first_amount(entry, *_OTHER_UNITS[key.operation]):
        return UNKNOWN
    tier = key.tier.strip().lower()
    suffix = BATCH if tier in _BATCH_TIERS else TIER_SUFFIX.get(tier, "")
    rates = rates_for(found.provider, entry, Case(input_tokens, suffix, off_peak))
    if rates == UNKNOWN:
        return rates
    fee = router_fee(found.provider, key.model, found.name, table.entries)
    return rates.times(_uplift(found, key)).plus(surcharge=fee)


def _uplift(found: Found, key: Key) -> Decimal:
    """What a region costs on top, as a factor."""
    field = ""
    if found.provider == "openai":
        field = f"regional_processing_uplift_multiplier_{openai_residency(key.host)}"
    elif found.provider.startswith("vertex_ai") and vertex_location(key.host, key.location):
        field = "regional_endpoint_uplift_multiplier"
    return amount(found.entry, field) or Decimal(1)
