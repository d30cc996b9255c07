"""What was said so far, later sources over earlier ones, with who said it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from otel_exporter.config.faults import DEFAULT_ORIGIN, Fault, Origin, Path, dotted
from otel_exporter.config.fields import is_section, item_of, kind_at, secrets_of
from otel_exporter.config.section import Section
from otel_exporter.config.sources import Said
from otel_exporter.config.values import Secret

_NOBODY: Final = Origin(DEFAULT_ORIGIN, 0)


def origin_at(origins: Mapping[Path, Origin], path: Path) -> Origin:
    """The origin of the nearest thing said at or above ``path``."""
    for end in range(len(path), 0, -1):
        if path[:end] in origins:
            return origins[path[:end]]
    return _NOBODY


class Layers:
    """What was said so far, later layers over earlier ones; lists are replaced, sections merged."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self.origins: dict[Path, Origin] = {}
        self.faults: list[Fault] = []

    def take(self, source: Iterable[Said | Fault]) -> None:
        """Everything one source says."""
        for item in source:
            if isinstance(item, Fault):
                self.faults.append(item)
            else:
                self._put(item)

    def _put(self, item: Said) -> None:
        if not any(isinstance(part, int) for part in item.path):  # inside a list only the line is news
            self._place(item)
        self.origins[item.path] = item.origin

    def _place(self, item: Said) -> None:
        *above, name = item.path
        section = self.said
        for part in above:
            if not isinstance(section.get(str(part)), dict):
                section[str(part)] = {}
            section = section[str(part)]
        section[str(name)] = item.value
        for path in [path for path in self.origins if path[: len(item.path)] == item.path]:
            del self.origins[path]

    def fault(self, path: Path, reason: str) -> None:
        """Note a fault at ``path``."""
        origin = origin_at(self.origins, path)
        self.faults.append(Fault(dotted(path), "" if origin is _NOBODY else origin.text, reason))

    def read_secret_files(self, kind: type[Section], said: Any, at: Path = ()) -> None:
        """Fill every secret whose ``<name>_file`` was said."""
        if not isinstance(said, dict):
            return
        for name in secrets_of(kind):
            if said.get(f"{name}_file") is not None:
                self._read_secret(said, (*at, name))
        for name, value in said.items():
            below = kind_at((name,), kind)
            if is_section(below):
                self.read_secret_files(below, value, (*at, name))
            elif is_section(item_of(below)) and isinstance(value, list):
                for index, item in enumerate(value):
                    self.read_secret_files(item_of(below), item, (*at, name, index))

    def _read_secret(self, said: dict[str, Any], path: Path) -> None:
        name = str(path[-1])
        file_path: Path = (*path[:-1], f"{name}_file")
        file_rank = origin_at(self.origins, file_path).rank
        direct_rank = origin_at(self.origins, path).rank if said.get(name) is not None else -1
        if direct_rank == file_rank:
            self.fault(file_path, f"cannot be said together with {name}")
        elif direct_rank > file_rank:
            said[f"{name}_file"] = None
        else:
            said[name] = self._content(said[f"{name}_file"], file_path)

    def _content(self, file: Any, path: Path) -> Secret | None:
        try:
            text = FilePath(file).read_text(encoding="utf-8").strip()
        except (OSError, TypeError, ValueError) as error:
            why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "it is not a UTF-8 text file"
            self.fault(path, f"cannot be read: {why}")
            return None
        if not text:
            self.fault(path, "names an empty file")
            return None
        return Secret(text)
