"""The three places a value can be said besides the defaults: a YAML file, `TOKENTIDE_*` variables, flags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from otel_exporter.config.faults import Fault, Origin, Path, dotted
from otel_exporter.config.fields import is_file, is_section, item_of, kind_at

FILE, ENVIRONMENT, FLAG = 1, 2, 3
PREFIX: Final = "TOKENTIDE_"
#: Variables under our prefix that are not configuration.
NOT_SETTINGS: Final = frozenset({"TOKENTIDE_CONFIG", "TOKENTIDE_TRACEBACK", "TOKENTIDE_FAILPOINT"})
_DEEPEST: Final = 40
_MOST_NODES: Final = 100_000
_TOO_BIG: Final = "is nested too deeply, or its aliases never end"


@dataclass(frozen=True)
class Said:
    """One value somebody said."""

    path: Path
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Flag:
    """A command-line option that says the value at a dotted path; None when it was not given."""

    option: str
    path: str
    value: Any


Source = Iterator[Said | Fault]


def said_by_flags(flags: Iterable[Flag]) -> Source:
    """Values of command-line flags; None was not given."""
    for flag in flags:
        if flag.value is not None:
            yield Said(tuple(flag.path.split(".")), flag.value, Origin(flag.option, FLAG))


def said_by_environment(environment: Mapping[str, str]) -> Source:
    """Values of `TOKENTIDE_SECTION__KEY` variables; lists are YAML or separated by commas."""
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            try:
                yield Said(path, _from_text(path, environment[name]), Origin(name, ENVIRONMENT))
            except yaml.YAMLError:
                yield Fault(dotted(path), name, "must be YAML, such as [{token: x, tenant: y}]")


def _from_text(path: Path, text: str) -> Any:
    kind = kind_at(path)
    if item_of(kind) is None and not is_section(kind):
        return text
    value = yaml.load(text, _Loader)
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def said_by_file(file: FilePath) -> Source:
    """Values of a YAML file, each with its line. A key without a value says nothing.

    Paths of files in it are relative to the file's own directory.
    """
    root = _compose(file)
    if isinstance(root, Fault):
        yield root
    elif isinstance(root, yaml.MappingNode):
        reader = _FileReader(file)
        yield from reader.below(root, ())
        yield from reader.faults
    elif root is not None:
        yield Fault("", _line(file, root), "must be a mapping of sections such as `ingest:`")


def _compose(file: FilePath) -> yaml.Node | Fault | None:
    """The file as YAML nodes, or why it is none; None when it is empty."""
    try:
        root: yaml.Node | None = yaml.compose(file.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        return Fault("", str(file), f"cannot be read: {os.strerror(error.errno or 0)}")
    except UnicodeDecodeError:
        return Fault("", str(file), "must be UTF-8 text")
    except yaml.MarkedYAMLError as error:
        line = f"{file}:{error.problem_mark.line + 1}" if error.problem_mark else str(file)
        return Fault("", line, f"is not YAML: {error.problem or error.context}")
    except yaml.YAMLError:
        return Fault("", str(file), "is not YAML: it holds characters YAML does not allow")
    except RecursionError:
        return Fault("", str(file), _TOO_BIG)
    return Fault("", str(file), _TOO_BIG) if root and _is_too_big(root) else root


def _is_too_big(root: yaml.Node) -> bool:
    """Whether aliases make the file endless, or as good as."""
    below, visited = [(root, 0)], 0
    while below:
        node, depth = below.pop()
        visited += 1
        if depth > _DEEPEST or visited > _MOST_NODES:
            return True
        if isinstance(node, yaml.MappingNode):
            below.extend((part, depth + 1) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            below.extend((part, depth + 1) for part in node.value)
    return False


def _line(file: FilePath, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


class _FileReader:
    """Walks the nodes of one file; remembers faults instead of stopping at the first."""

    def __init__(self, file: FilePath) -> None:
        self.file = file
        self.faults: list[Fault] = []

    def below(self, node: yaml.MappingNode, at: Path) -> Iterator[Said]:
        for path, key, value in self._pairs(node, at):
            origin = Origin(_line(self.file, key), FILE)
            if isinstance(value, yaml.MappingNode) and is_section(kind_at(path)):
                yield from self.below(value, path)
                continue
            plain = self._plain(value, path)
            if plain is not None:
                yield Said(path, plain, origin)
                yield from self._lines_of_items(value, path)

    def _pairs(self, node: yaml.MappingNode, at: Path) -> Iterator[tuple[Path, yaml.Node, yaml.Node]]:
        try:
            _Loader("").flatten_mapping(node)
        except yaml.YAMLError:
            self._fault(at, node, "can only merge (<<) sections")
        seen: set[str] = set()
        for key, value in node.value:
            name = str(getattr(key, "value", ""))
            if name in seen:
                self._fault((*at, name), key, "appears twice in this section")
            else:
                yield (*at, name), key, value
            seen.add(name)

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {str(at[-1]): self._plain(value, at) for at, _, value in self._pairs(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            value = _Loader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._fault(path, node, "is no value YAML knows: put it in quotes")
            return None
        return self.file.parent / value if isinstance(value, str) and is_file(path) else value

    def _fault(self, path: Path, node: yaml.Node, reason: str) -> None:
        self.faults.append(Fault(dotted(path), _line(self.file, node), reason))

    def _lines_of_items(self, node: yaml.Node, path: Path) -> Iterator[Said]:
        """The line of every key inside a list, so that a fault there has a line too."""
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self._line_of(item, (*path, index), item)

    def _line_of(self, node: yaml.Node, path: Path, marked: yaml.Node) -> Iterator[Said]:
        yield Said(path, None, Origin(_line(self.file, marked), FILE))
        if isinstance(node, yaml.MappingNode):
            for at, key, value in self._pairs(node, path):
                yield from self._line_of(value, at, key)


class _Loader(yaml.SafeLoader):
    """YAML in which ``0.1`` stays exactly 0.1: prices are money."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal | float:
    try:
        return Decimal(str(node.value).replace("_", ""))
    except InvalidOperation:
        return loader.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)
