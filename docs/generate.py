"""Writes the documents that follow from code: `configuration.md`, `cli.md`, `metrics.md`, `columns.md`.

`python docs/generate.py` writes them, `--check` fails when one is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parent
NOTE: Final = "<!-- Written by docs/generate.py from the code: change the code, then run it. -->\n\n"


def rows(header: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *cells]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def configuration() -> str:
    """The configuration: how it is put together, and every setting."""
    from otel_exporter.config.faults import dotted
    from otel_exporter.config.fields import leaves

    sections: dict[str, list[list[str]]] = {}
    for path, field in leaves():
        key = dotted(path)
        variable = f"`TOKENTIDE_{'__'.join(map(str, path)).upper()}`" if "[]" not in key else ""
        sections.setdefault(str(path[0]), []).append([f"`{key}`", variable, _default(field), field.description or ""])
    text = (DOCS / "intro" / "configuration.md").read_text(encoding="utf-8")
    for name, cells in sections.items():
        text += f"\n### `{name}`\n\n" + rows(("key", "variable", "default", "meaning"), cells)
    return text


def _default(field: Any) -> str:
    from otel_exporter.config.show import as_text

    text = as_text(field.default, field)
    return f"`{text}`" if text else ""


def cli() -> str:
    """Every command with its help."""
    import typer

    from otel_exporter.cli import app

    return (
        "# Command line\n\n"
        + (DOCS / "intro" / "cli.md").read_text(encoding="utf-8")
        + "".join(
            f"\n## {name}\n\n```\n{text}\n```\n"
            for name, text in _helps(typer.main.get_command(app), "tokentide", None)
        )
    )


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    import typer

    context = typer.Context(command, info_name=name if parent is None else name.rpartition(" ")[2], parent=parent)
    context.terminal_width, context.max_content_width = 100, 100
    yield name, command.get_help(context).rstrip()
    for below in getattr(command, "commands", {}).values():
        yield from _helps(below, f"{name} {below.name}", context)


def metrics() -> str:
    """Every metric of the service itself."""
    from otel_exporter.telemetry import Metric

    declared = [metric.declared for metric in Metric]
    cells = [[f"`{d.name}`", d.kind, ", ".join(f"`{n}`" for n in d.labels), d.meaning, d.action] for d in declared]
    intro = "# Metrics\n\nWhat `serve` says about itself at `/metrics` (port 9464), in Prometheus text format.\n\n"
    return intro + rows(("metric", "kind", "labels", "meaning", "what to do"), cells)


def columns() -> str:
    """The columns of a call."""
    from processors.contract import BOOKKEEPING, CALL

    text = (DOCS / "intro" / "columns.md").read_text(encoding="utf-8")
    text += "\n## `genai_calls`\n\n" + rows(("column", "type", "meaning"), map(_column, CALL))
    text += "\n## Only in `genai_ledger`\n\n" + rows(("column", "type", "meaning"), map(_column, BOOKKEEPING))
    return text


def _column(column: Any) -> list[str]:
    return [f"`{column.name}`", f"`{column.clickhouse}`", column.meaning]


PAGES: Final[dict[str, Callable[[], str]]] = {
    "configuration.md": configuration,
    "cli.md": cli,
    "metrics.md": metrics,
    "columns.md": columns,
}


def stale() -> list[str]:
    """The pages that are not what the code says."""
    return [name for name, page in PAGES.items() if _read(DOCS / name) != NOTE + page()]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale."""
    old = stale()
    if "--check" in arguments:
        for name in old:
            sys.stderr.write(f"docs/{name} is stale: run python docs/generate.py\n")
        return 1 if old else 0
    for name in old:
        (DOCS / name).write_text(NOTE + PAGES[name](), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
