"""Prices and terms as a user writes them (YAML, `docs/prices.md`), read into `prices.terms`; every fault at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from processors.prices.terms import Discount, Margin, Override, Scope

_FIELDS: Final = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
    "image_input": "input_cost_per_image_token",
    "image_output": "output_cost_per_image_token",
}
_LITELLM_FIELD: Final = re.compile(r"^(input|output|cache_read|cache_creation)_[a-z0-9_]*cost[a-z0-9_]*$")
_SCOPE_KEYS: Final = frozenset({"models", "provider", "from", "until"})
_OVERRIDE_KEYS: Final = _SCOPE_KEYS | {"name", "like", "free", "per_million", "per_call", "per_second", "litellm"}
_DISCOUNT_KEYS: Final = _SCOPE_KEYS | {"percent"}
_MARGIN_KEYS: Final = _SCOPE_KEYS | {"percent", "per_call_usd"}
_MILLION: Final = Decimal(10**6)

Path = tuple[str | int, ...]
_Term = TypeVar("_Term")


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where: ``path`` leads to it from the list the item is in."""

    path: Path
    sentence: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))} {self.sentence}"


class BadTerms(ValueError):
    """Prices that cannot be read; ``faults`` are all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class _Item:
    """One written mapping; reads its keys, and remembers what is wrong with them."""

    values: Mapping[str, Any]
    path: Path
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, sentence: str, *at: str | int) -> None:
        self.faults.append(Fault((*self.path, *at), sentence))

    def only(self, known: frozenset[str]) -> None:
        for key in self.values.keys() - known:
            self.wrong(f"is unknown; known: {', '.join(sorted(known))}", str(key))

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            self.wrong("must be text", key)
            return ""
        return value.strip()

    def number(self, key: str, most: int, values: Mapping[str, Any] | None = None, *within: str) -> Decimal:
        value = (self.values if values is None else values).get(key, 0)
        try:
            number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite() or not 0 <= number <= most:
            self.wrong(f"must be a number from 0 to {most}", *within, key)
            return Decimal(0)
        return number

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.values.get(key) or {}
        if not isinstance(value, Mapping):
            self.wrong("must be a mapping", key)
            return {}
        return value

    def moment(self, key: str) -> datetime | None:
        value = self.values.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                self.wrong("must be a date (2026-01-31) or a moment (2026-01-31T12:00:00Z)", key)
                return None
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        if value is not None:
            self.wrong("must be a date", key)
        return None

    def scope(self, *, everything: bool) -> Scope:
        """Which calls are meant; without ``models``, all of them when ``everything``."""
        models = self.values.get("models", ["*"] if everything else None)
        models = [models] if isinstance(models, str) else models
        if not isinstance(models, Sequence) or not models or not all(isinstance(m, str) and m.strip() for m in models):
            self.wrong("must name at least one model", "models")
            models = []
        scope = Scope(
            tuple(model.strip() for model in models), self.text("provider"), self.moment("from"), self.moment("until")
        )
        if scope.since and scope.until and scope.since >= scope.until:
            self.wrong("must be later than `from`", "until")
        return scope


def overrides(written: Sequence[Any], path: Path = ("overrides",)) -> tuple[Override, ...]:
    """The user's own prices. Raises BadTerms."""
    return _all(written, path, _override)


def discounts(written: Sequence[Any], path: Path = ("discounts",)) -> tuple[Discount, ...]:
    """The user's discounts. Raises BadTerms."""
    return _all(written, path, _discount)


def margins(written: Sequence[Any], path: Path = ("margins",)) -> tuple[Margin, ...]:
    """The user's margins. Raises BadTerms."""
    return _all(written, path, _margin)


def _all(written: Sequence[Any], path: Path, read: Callable[[_Item], _Term]) -> tuple[_Term, ...]:
    faults: list[Fault] = []
    terms = []
    for index, values in enumerate(written):
        if not isinstance(values, Mapping):
            faults.append(Fault((*path, index), "must be a mapping"))
            continue
        terms.append(read(_Item(values, (*path, index), faults)))
    if faults:
        raise BadTerms(faults)
    return tuple(terms)


def _override(item: _Item) -> Override:
    item.only(_OVERRIDE_KEYS)
    scope = item.scope(everything=False)
    prices = dict(_prices(item))
    like = item.text("like")
    if not prices and not like:
        item.wrong("names no price: say per_million, per_call, per_second, litellm, like or free")
    return Override(item.text("name") or (scope.models[0] if scope.models else ""), scope, prices, like)


def _prices(item: _Item) -> Iterator[tuple[str, Any]]:
    """Fields of LiteLLM's table."""
    if item.values.get("free") is True:
        yield from ((_FIELDS["input"], Decimal(0)), (_FIELDS["output"], Decimal(0)))
    million = item.mapping("per_million")
    for key in million:
        if key in _FIELDS:
            yield _FIELDS[key], item.number(key, 10**6, million, "per_million") / _MILLION
        else:
            item.wrong(f"is unknown; known: {', '.join(_FIELDS)}", "per_million", str(key))
    raw = item.mapping("litellm")
    for key in raw:
        if _LITELLM_FIELD.match(str(key)):
            yield key, item.number(key, 10**3, raw, "litellm")
        else:
            item.wrong("is no price of LiteLLM's table", "litellm", str(key))
    if "per_second" in item.values and (million or raw):
        item.wrong("and prices per token exclude each other", "per_second")
    for key, name, most in (("per_call", "cost_per_call", 10**6), ("per_second", "cost_per_second", 10**3)):
        if key in item.values:
            yield name, item.number(key, most)
    if "per_call" in item.values and not million and not raw and "per_second" not in item.values:
        yield from ((_FIELDS["input"], Decimal(0)), (_FIELDS["output"], Decimal(0)))


def _discount(item: _Item) -> Discount:
    item.only(_DISCOUNT_KEYS)
    return Discount(item.number("percent", 100) / 100, item.scope(everything=True))


def _margin(item: _Item) -> Margin:
    item.only(_MARGIN_KEYS)
    return Margin(item.number("percent", 1000) / 100, item.number("per_call_usd", 10**6), item.scope(everything=True))
