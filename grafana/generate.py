"""Writes `dashboards/*.json` from `boards/*.py`.

`python -m grafana.generate` writes them, `--check` fails when one is stale or left over.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from grafana.board import Board, as_json

FOLDER: Final = Path(__file__).parent / "dashboards"
#: In the order in which they are meant to be read.
NAMES: Final = (
    "spend",
    "traffic",
    "keys",
    "migration",
    "forecast",
    "chargeback",
    "sessions",
    "pipeline",
    "calls",
    "trace",
)


def boards() -> list[Board]:
    """Every dashboard of the pack."""
    found = [import_module(f"grafana.boards.{name}").BOARD for name in NAMES]
    return [board for board in found if isinstance(board, Board)]


def texts() -> dict[str, str]:
    """The files, by name."""
    return {f"{board.name}.json": as_json(board) for board in boards()}


def stale() -> list[str]:
    """Files that are not what the code says, and files of no dashboard."""
    made = texts()
    kept = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    return sorted(name for name in {*made, *kept} if made.get(name) != kept.get(name))


def main(arguments: Sequence[str]) -> int:
    """Write the dashboards, or with ``--check`` say which are stale."""
    old = stale()
    if "--check" in arguments:
        for name in old:
            sys.stderr.write(f"grafana/dashboards/{name} is stale: run python -m grafana.generate\n")
        return 1 if old else 0
    FOLDER.mkdir(exist_ok=True)
    made = texts()
    for name in old:
        file = FOLDER / name
        file.write_text(made[name], encoding="utf-8") if name in made else file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
