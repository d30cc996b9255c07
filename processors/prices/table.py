"""LiteLLM's price table: from what telemetry says of a model to the one entry that prices it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from processors.prices.entry import Entry, prices_tokens
from processors.prices.names import base_name, candidates, cleaned, with_region
from processors.prices.providers import aws_region, is_vague, providers_for, sells, sells_as

_NO_MODELS: Final = ("sample_spec", "fallback_generalizations")
_CLAUDE: Final = re.compile(r"^claude-")
_MIXTURE: Final = re.compile(r"(\d{1,4})x(\d{1,4})b")
_BILLIONS: Final = re.compile(r"(\d{1,5})b")
_MILLIONS: Final = re.compile(r"(\d{1,5})m")
_TOGETHER: Final = (
    (4, "together-ai-up-to-4b"), (8, "together-ai-4.1b-8b"), (21, "together-ai-8.1b-21b"),
    (41, "together-ai-21.1b-41b"), (80, "together-ai-41.1b-80b"), (110, "together-ai-81.1b-110b"),
)  # fmt: skip
_TOGETHER_EMBEDDINGS: Final = ((150, "together-ai-embedding-up-to-150m"), (350, "together-ai-embedding-151m-to-350m"))


@dataclass(frozen=True)
class Found:
    """An entry, the name it stands under, and the provider (LiteLLM's spelling) whose calculator prices it."""

    name: str
    provider: str
    entry: Entry
    by_size: bool = False  # the model itself is not in the table; its provider prices by parameter count


class Table:
    """Entries of LiteLLM's table, found by provider and model as LiteLLM finds them."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries: Mapping[str, Any] = entries

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Name to entry, aliases spelled out."""
        models = {
            name: entry
            for name, entry in self._entries.items()
            if name not in _NO_MODELS and isinstance(entry, Mapping)
        }
        aliases = {
            alias: entry for entry in models.values() for alias in entry.get("aliases") or () if isinstance(alias, str)
        }
        return {**aliases, **models}

    @cached_property
    def _lower(self) -> dict[str, str]:
        return {name.lower(): name for name in self.entries}

    @cached_property
    def _provider_names(self) -> frozenset[str]:
        return frozenset(sells_as(str(entry.get("litellm_provider") or "")) for entry in self.entries.values())

    def find(self, provider: str, model: str, host: str = "", operation: str = "") -> Found | None:
        """The entry that prices ``model``.

        Args:
            provider: in any spelling; '' when nobody said.
            model: as telemetry names it, with or without LiteLLM's provider prefix.
            host: where the call went, if known: tells the provider of a vague client, and the AWS region.
            operation: semconv operation name.
        """
        model = cleaned(model)
        if not model:
            return None
        for name in self._providers(provider, model, host):
            exact = self._exact(name, model, host)
            if exact and prices_tokens(exact.entry):
                return exact
            found = self._by_size(name, model, operation) or exact
            if found:
                return found
        return None

    def _providers(self, provider: str, model: str, host: str) -> Iterator[str]:
        """Providers to try: the one said; if that is vague, the model's own prefix first, and its owner last."""
        said = providers_for(provider, host)
        prefix = model.partition("/")[0].lower()
        if is_vague(said[0]) and "/" in model and prefix in self._provider_names:
            yield prefix
        yield from (name for name in said if name)
        if is_vague(said[0]) and said[0] != "openai":
            yield from self._owners(model)

    def _owners(self, model: str) -> Iterator[str]:
        """Who sells a model of this name."""
        for name in (model, base_name(model, "openai"), base_name(model, "bedrock")):
            key = self._key(name)
            if key is not None:
                yield sells_as(str(self.entries[key].get("litellm_provider") or ""))
        if _CLAUDE.match(model):
            yield "anthropic"

    def _exact(self, provider: str, model: str, host: str) -> Found | None:
        region = aws_region(host) if provider.startswith("bedrock") else ""
        regional = (with_region(model, provider, region),) if region else ()
        for name in (*regional, *candidates(model, provider)):
            key = self._key(name)
            if key is not None and sells(provider, self.entries[key].get("litellm_provider")):
                return Found(key, provider, self.entries[key])
        return None

    def _key(self, name: str) -> str | None:
        return name if name in self.entries else self._lower.get(name.lower())

    def _by_size(self, provider: str, model: str, operation: str) -> Found | None:
        """Fireworks and Together price what they list by name, and the rest by parameter count."""
        size = ""
        if provider == "fireworks_ai":
            size = _fireworks_size(model.lower())
        elif provider == "together_ai":
            size = _together_size(model.lower(), operation)
        entry = self.entries.get(size)
        return Found(size, provider, entry, by_size=True) if entry and prices_tokens(entry) else None


def _fireworks_size(model: str) -> str:
    mixture = _MIXTURE.search(model)
    total = int(mixture[1]) * int(mixture[2]) if mixture else 0
    if 0 < total <= 176:
        return "fireworks-ai-moe-up-to-56b" if total <= 56 else "fireworks-ai-56b-to-176b"
    billions = _BILLIONS.search(model)
    if billions is None:
        return ""
    size = int(billions[1])
    small = "fireworks-ai-up-to-4b" if size <= 4 else "fireworks-ai-4.1b-to-16b"
    return small if size <= 16 else "fireworks-ai-above-16b"


def _together_size(model: str, operation: str) -> str:
    embeds = operation == "embeddings"
    match = (_MILLIONS if embeds else _BILLIONS).search(model)
    if match is None:
        return ""
    classes = _TOGETHER_EMBEDDINGS if embeds else _TOGETHER
    return next((name for largest, name in classes if int(match[1]) <= largest), "")
