"""What the tree says about a path: its type, whether it is a secret, a section, a file or a list."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from otel_exporter.config.faults import Path
from otel_exporter.config.section import Section
from otel_exporter.config.tree import Settings
from otel_exporter.config.values import Secret


def kind_at(path: Path, root: type[Section] = Settings) -> Any:
    """The Python type declared at ``path``, `object` where nothing is declared."""
    kind: Any = root
    for part in path:
        kind = _kind_below(kind, part)
    return kind


def _kind_below(kind: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return item_of(kind) or object
    if is_section(kind) and part in kind.model_fields:
        return declared(kind.model_fields[part])
    return object


def declared(field: FieldInfo) -> Any:
    """The type of a field without its ``| None``."""
    kind = field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(choice for choice in get_args(kind) if choice is not type(None))
    return kind


def is_section(kind: Any) -> bool:
    """Whether a type is a node of the tree."""
    return isinstance(kind, type) and issubclass(kind, Section)


def item_of(kind: Any) -> Any:
    """The type of the items of a list, None for anything that is not a list."""
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def is_file(path: Path) -> bool:
    """Whether the value is the path of a file or directory."""
    return kind_at(path) is FilePath


def secrets_of(kind: type[Section]) -> Iterator[str]:
    """The names of the secrets directly in a section."""
    for name, field in kind.model_fields.items():
        if declared(field) is Secret:
            yield name


def leaves(kind: type[Section] = Settings, at: Path = ()) -> Iterator[tuple[Path, FieldInfo]]:
    """Every leaf of the tree in the order it is written, sections of lists included under ``[]``."""
    for name, field in kind.model_fields.items():
        below = declared(field)
        item = item_of(below)
        if is_section(below):
            yield from leaves(below, (*at, name))
            continue
        yield (*at, name), field
        if is_section(item):
            yield from leaves(item, (*at, f"{name}[]"))
