"""Defaults, then the file, then the environment, then flags: one frozen `Settings`, or every fault at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError

from otel_exporter.config.faults import ConfigFaults, Origin, Path, dotted
from otel_exporter.config.fields import kind_at
from otel_exporter.config.identity import IdentitySettings
from otel_exporter.config.layers import Layers, origin_at
from otel_exporter.config.reasons import reasons
from otel_exporter.config.section import KEYS_ARE_ASKED
from otel_exporter.config.sources import Flag, said_by_environment, said_by_file, said_by_flags
from otel_exporter.config.tree import Settings, StoreSettings
from otel_exporter.config.values import Secret


@dataclass(frozen=True)
class Configuration:
    """The effective settings, and who said what."""

    settings: Settings
    origins: Mapping[Path, Origin] = field(default_factory=dict)

    def origin(self, path: Path) -> str:
        """Who said the value at ``path``: ``file:line``, a variable, a flag, or ``default``."""
        return origin_at(self.origins, path).text


def load(
    file: FilePath | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Iterable[Flag] = (),
) -> Configuration:
    """The settings all sources together say.

    Raises:
        ConfigFaults: with every fault of every source.
    """
    layers = Layers()
    layers.take(said_by_file(file) if file else ())
    layers.take(said_by_environment(environment or {}))
    layers.take(said_by_flags(flags))
    layers.read_secret_files(Settings, layers.said)
    settings = _validate(layers)
    if layers.faults or settings is None:
        raise ConfigFaults(sorted(dict.fromkeys(layers.faults), key=lambda fault: fault.path))
    return Configuration(settings, layers.origins)


def _validate(layers: Layers) -> Settings | None:
    """The settings, or None after noting every fault.

    A faulty value hides the rules of its section, so the section is looked at again without that value.
    """
    settings, errors = _try(layers)
    for error in errors:
        _forget(layers.said, error)
    if errors:
        _try(layers)
    return settings


def _try(layers: Layers) -> tuple[Settings | None, list[Any]]:
    try:
        return Settings.model_validate(layers.said, context={KEYS_ARE_ASKED: _keys_are_asked(layers.said)}), []
    except ValidationError as error:
        errors: list[Any] = error.errors(include_url=False)
    for path, reason in reasons(errors):
        layers.fault(path, reason)
    return None, errors


def _keys_are_asked(said: Mapping[str, Any]) -> bool:
    """Whether there is a key file where these settings say, which nobody has validated yet."""
    try:
        identity, store = (section.model_validate(said.get(name) or {}) for name, section in _PLACES.items())
    except ValidationError:
        return False
    file: FilePath = identity.keys_file or store.key_file
    return file.is_file()


_PLACES: Final[dict[str, Any]] = {"identity": IdentitySettings, "store": StoreSettings}


def _forget(said: Any, error: Any) -> None:
    """Take a faulty value out; a faulty secret still counts as said."""
    path: Path = error["loc"]
    section = said
    for part in path[:-1]:
        section = section[part]
    if error["type"] != "rules" and isinstance(section, dict):
        section.pop(path[-1], None)
        if kind_at(path) is Secret:
            section[path[-1]] = Secret(dotted(path))
