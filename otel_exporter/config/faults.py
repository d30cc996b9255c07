"""What is wrong with a configuration: every fault with its path, where it was said, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Path = tuple[str | int, ...]
DEFAULT_ORIGIN: Final = "default"


@dataclass(frozen=True)
class Origin:
    """Who said a value: ``text`` as shown to people, ``rank`` for who wins (flag over environment over file)."""

    text: str
    rank: int


@dataclass(frozen=True)
class Fault:
    """One mistake. ``reason`` never quotes a secret."""

    path: str
    origin: str
    reason: str

    def __str__(self) -> str:
        where = f" ({self.origin})" if self.origin else ""
        return f"{self.path or 'configuration'}{where}: {self.reason}"


class ConfigFaults(Exception):
    """The configuration cannot be used; ``faults`` are all of its mistakes, not only the first."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


def dotted(path: Path) -> str:
    """``("ingest", "keys", 0, "token")`` as ``ingest.keys.0.token``."""
    return ".".join(map(str, path))
