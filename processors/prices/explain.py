"""The price line of one call: which prices applied, to how many tokens, and whose number was charged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

#: Class of tokens -> (rate, what a reader calls it).
_CLASSES: Final = {
    "text": ("input", "input"),
    "read": ("cache_read", "cache read"),
    "write_5m": ("cache_write", "cache write"),
    "write_1h": ("cache_write_1h", "cache write (1 hour)"),
    "audio_in": ("audio_input", "audio input"),
    "image_in": ("image_input", "image input"),
    "answer": ("output", "output"),
    "reasoning": ("reasoning", "reasoning"),
    "audio_out": ("audio_output", "audio output"),
    "image_out": ("image_output", "image output"),
}
_WHY: Final = {
    "hit": "answered from the gateway's cache: nothing was billed",
    "failed": "failed without an answer: nothing was billed",
    "agreed": "{source} reported the same",
    "reported": "{source} reported ${reported}, which is charged",
    "local": "by the price book",
    "unknown": "nobody knows a price",
}


@dataclass(frozen=True)
class Item:
    """So many tokens of one class (or calls, or seconds) at one price."""

    what: str
    count: Decimal
    price_usd: Decimal | None

    @property
    def cost_usd(self) -> Decimal | None:
        """Exact, not rounded; None when the price is unknown."""
        return None if self.price_usd is None else self.price_usd * self.count

    def __str__(self) -> str:
        price = "an unknown price" if self.price_usd is None else f"${plain(self.price_usd)}"
        return f"{plain(self.count)} {self.what} at {price}"


@dataclass(frozen=True)
class PriceLine:
    """How a call's cost came about.

    Attributes:
        entry: the name in the price table, or of the user's own price; '' when there is none.
        version: as `price_version`.
        items: what was multiplied.
        cost_usd, local_usd, reported_usd: charged, by the price book, as reported.
        why: whose number is charged.
        issues: as on the call.
    """

    entry: str
    version: str
    items: tuple[Item, ...]
    cost_usd: Decimal | None
    local_usd: Decimal | None
    reported_usd: Decimal | None
    discount_usd: Decimal | None
    margin_usd: Decimal | None
    source: str
    why: str
    issues: tuple[str, ...]

    def __str__(self) -> str:
        cost = "unknown" if self.cost_usd is None else f"${plain(self.cost_usd)}"
        terms = " + ".join(map(str, self.items))
        terms += f" - ${plain(self.discount_usd)} discount" if self.discount_usd else ""
        terms += f" + ${plain(self.margin_usd)} margin" if self.margin_usd else ""
        by = f" [{self.entry}, {self.version}]" if self.entry and self.version else ""
        return f"{cost}: {self.why}" + (f"; {terms}" if terms else "") + by


def price_line(priced: Mapping[str, Any]) -> PriceLine:
    """The price line of a row that `PriceBook` priced."""
    reported = priced["cost_reported_usd"]
    said = "" if reported is None else plain(reported)
    why = _WHY[priced["@case"]].format(source=priced["cost_source"], reported=said)
    return PriceLine(
        entry=priced["~entry"] or "",
        version=priced["price_version"],
        items=tuple(_items(priced)),
        cost_usd=priced["cost_usd"],
        local_usd=priced["cost_local_usd"],
        reported_usd=reported,
        discount_usd=priced["discount_usd"],
        margin_usd=priced["margin_usd"],
        source=priced["cost_source"],
        why=why,
        issues=tuple(priced["issues"]),
    )


def _items(priced: Mapping[str, Any]) -> Iterator[Item]:
    for name, (rate, what) in _CLASSES.items():
        if priced[f"@c_{name}"]:
            yield Item(what, Decimal(priced[f"@c_{name}"]), priced[f"~{rate}"])
    if priced["~surcharge"]:
        yield Item("input (router fee)", Decimal(priced["@c_paid_in"] or 0), priced["~surcharge"])
    if priced["~per_call"]:
        yield Item("call", Decimal(1), priced["~per_call"])
    if priced["~per_second"]:
        yield Item("seconds", Decimal(str(priced["duration_ms"] or 0)) / 1000, priced["~per_second"])


def plain(money: Decimal) -> str:
    """Without exponent and without trailing zeros."""
    text = f"{money:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
