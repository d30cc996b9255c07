"""`tokentide demo`: the whole path on made-up history and real LiteLLM calls, everything marked DEMO."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the report instead of serving on.")] = False,
) -> None:
    """Show the whole path with made-up data.

    In a directory and on ports of its own: weeks of history, real LiteLLM calls, the report. All marked DEMO.
    """
    from otel_exporter.demo.show import run

    run(once=once)
