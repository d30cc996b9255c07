"""The effective configuration as rows: what holds, who said it, how it differs from the defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from otel_exporter.config.faults import Path, dotted
from otel_exporter.config.load import Configuration
from otel_exporter.config.section import Section
from otel_exporter.config.tree import Settings
from otel_exporter.config.values import Secret, ServerUrl, SizeMark, size_text


@dataclass(frozen=True)
class Setting:
    """One leaf: its effective value and its default as text, and who said it. Secrets are masked."""

    path: str
    value: str
    default: str
    source: str


def effective(configuration: Configuration) -> list[Setting]:
    """Every leaf of the tree, in the order of the tree."""
    defaults = dict(_texts(Settings(), ()))
    return [
        Setting(dotted(path), value, defaults.get(path, ""), configuration.origin(path))
        for path, value in _texts(configuration.settings, ())
    ]


def differences(configuration: Configuration) -> list[Setting]:
    """The leaves that differ from their defaults."""
    return [setting for setting in effective(configuration) if setting.value != setting.default]


def _texts(section: Section, at: Path) -> Iterator[tuple[Path, str]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _texts(value, (*at, name))
        elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
            for index, item in enumerate(value):
                yield from _texts(item, (*at, name, index))
        else:
            yield (*at, name), as_text(value, field)


def as_text(value: Any, field: FieldInfo) -> str:
    """A value as one would write it; a secret as ``***``, an unset value as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and any(isinstance(mark, SizeMark) for mark in field.metadata):
        return size_text(value)
    if isinstance(value, (Secret, ServerUrl, str, int)):
        return str(value)
    return json.dumps(value, default=str) if isinstance(value, (tuple, list, dict)) else str(value)
