"""YAML that remembers its lines, so that every mistake in a rule file has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from alerting.rules import Fault, Place

_MOST_NODES: Final = 100_000
_DEEPEST: Final = 40


class Lined(dict[str, Any]):
    """A mapping with the line of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self._loader = yaml.SafeLoader("")
        self._visited = 0

    def value(self, node: yaml.Node, depth: int = 0) -> Any:
        self._visited += 1
        if depth > _DEEPEST or self._visited > _MOST_NODES:
            raise _Endless
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> Lined:
        lined = Lined(node.start_mark.line + 1)
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lined:
                self.faults.append(Fault(Place(self.file, line), "", f"{name} appears twice"))
                continue
            lined[name] = self.value(value, depth + 1)
            lined.lines[name] = line
        return lined

    def _scalar(self, node: yaml.Node) -> Any:
        """Texts, booleans and NULL; numbers and times stay as they are written (money is exact)."""
        if node.tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"):
            return self._loader.construct_object(node)
        return str(node.value)


class _Endless(Exception):
    pass


def read(file: Path, text: str) -> tuple[Any, list[Fault]]:
    """The document in ``text``, and what is wrong with it as YAML; None when nothing can be read."""
    reader = _Reader(file)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        return (reader.value(root) if root is not None else None), reader.faults
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return None, [Fault(Place(file, line), "", f"is not YAML: {error.problem or error.context}")]
    except yaml.YAMLError:
        return None, [Fault(Place(file, 1), "", "is not YAML: it holds characters YAML does not allow")]
    except (_Endless, RecursionError):
        return None, [Fault(Place(file, 1), "", "is nested too deeply, or its aliases never end")]
