"""One entry of a price table: reading prices out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

Entry: TypeAlias = Mapping[str, Any]

_PER_TOKEN: Final = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
)
_THRESHOLD: Final = re.compile(rf"^(?:{'|'.join(_PER_TOKEN)})_(?:above_1hr_)?above_(\d+)(k?)_tokens")
_BY_TIME: Final = ("cost_per_second", "input_cost_per_second", "output_cost_per_second")
#: Kinds of model for which a price per second means seconds of the call.
_TIMED_MODES: Final = frozenset({None, "audio_transcription", "chat", "completion", "embedding", "responses"})


def amount(entry: Entry, field: str) -> Decimal | None:
    """The number under ``field``, exactly as written; None when there is none."""
    value = entry.get(field)
    if value is None or isinstance(value, bool):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def first_amount(entry: Entry, *names: str) -> Decimal | None:
    """The first of these fields that holds a number."""
    return next((value for name in names if (value := amount(entry, name)) is not None), None)


def thresholds(entry: Entry) -> tuple[int, ...]:
    """Input sizes above which other prices apply, ascending."""
    found = (_THRESHOLD.match(field) for field in entry)
    return tuple(sorted({int(match[1]) * (1000 if match[2] else 1) for match in found if match}))


def threshold_name(tokens: int, entry: Entry) -> tuple[str, ...]:
    """How the table may spell a threshold in a field name: ``200k`` or ``200000``."""
    spellings = (f"{tokens // 1000}k",) if tokens % 1000 == 0 else ()
    return tuple(name for name in (*spellings, str(tokens)) if any(f"_above_{name}_tokens" in field for field in entry))


def prices_tokens(entry: Entry) -> bool:
    """Whether the entry says anything about what a token costs."""
    return bool(tiers(entry)) or first_amount(entry, *_PER_TOKEN[:2]) is not None


def tiers(entry: Entry) -> list[Entry]:
    """The entry's own table of prices by input size, when it is all-or-nothing (Alibaba's way)."""
    found = entry.get("tiered_pricing")
    return [tier for tier in found if isinstance(tier, Mapping)] if isinstance(found, list) else []


def per_second(entry: Entry) -> Decimal | None:
    """Price of a second of the call, for a model that is sold by time instead of tokens."""
    if tiers(entry) or any((amount(entry, field) or 0) > 0 for field in _PER_TOKEN[:2]):
        return None
    return first_amount(entry, *_BY_TIME) if entry.get("mode") in _TIMED_MODES else None
