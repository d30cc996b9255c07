"""Where data goes that cannot go on: rows ClickHouse refuses, segments whose bytes have changed.

Each is kept with an ``.error.json`` beside it. Nothing here was ever anything but redacted, as in the spool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import polars as pl

from otel_exporter import arrow_file, durable
from otel_exporter.telemetry import Metric

_ROWS: Final = ".arrow"
_ERROR: Final = ".error.json"

#: Makes tables (of a tenant; '' of no particular one) durable, unless it has seen the digest lately.
Offer = Callable[[Mapping[str, pl.DataFrame], bytes, str], None]


@dataclass(frozen=True)
class Explanation:
    """What stands beside a dead letter."""

    table: str  # '' for a segment
    rows: int
    error: str
    code: int | None  # ClickHouse error code
    at: float  # seconds since 1970
    tenant: str = ""  # whose rows; '' when the rows themselves say so


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter: rows (``.arrow``) or a whole segment."""

    path: Path
    explanation: Explanation

    @property
    def is_rows(self) -> bool:
        """Whether it can be offered again."""
        return self.path.suffix == _ROWS

    @property
    def beside(self) -> Path:
        """The explanation's file."""
        return _beside(self.path)


class DeadLetters:
    """The dead-letter directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        durable.sweep(directory)

    def keep_rows(self, name: str, rows: pl.DataFrame, explanation: Explanation) -> None:
        """Keep rows under a name; the same name again (a replay after a crash) replaces them."""
        path = self.directory / (name + _ROWS)
        durable.write_file(_beside(path), _as_json(explanation))
        with durable.new_file(path) as file:
            arrow_file.write(rows, file)
        Metric.DEAD_LETTERS.add(rows.height, table=explanation.table)

    def keep_file(self, path: Path, explanation: Explanation) -> None:
        """Move a file here."""
        target = self.directory / path.name
        durable.write_file(_beside(target), _as_json(explanation))
        durable.rename(path, target)

    def letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        explained = ((path, path.with_name(path.name.removesuffix(_ERROR))) for path in self._explanations())
        return [
            DeadLetter(target, Explanation(**json.loads(path.read_bytes())))
            for path, target in explained
            if target.exists()
        ]

    def replay(self, offer: Offer) -> int:
        """Offer all rows again, once each even when it is killed between offering and deleting; returns rows."""
        letters = [letter for letter in self.letters() if letter.is_rows]
        for letter in letters:
            content = letter.path.read_bytes()
            digest = hashlib.blake2b(letter.path.name.encode() + content, digest_size=16).digest()
            offer({letter.explanation.table: pl.read_ipc(content)}, digest, letter.explanation.tenant)
            letter.path.unlink()
            letter.beside.unlink()
        return sum(letter.explanation.rows for letter in letters)

    def _explanations(self) -> list[Path]:
        return sorted(path for path in self.directory.iterdir() if path.name.endswith(_ERROR))


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _ERROR)


def _as_json(explanation: Explanation) -> bytes:
    return json.dumps(asdict(explanation), indent=1).encode()
