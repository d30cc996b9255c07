"""Our own log: one structured line per event on standard error, JSON for machines, colours for people.

A line never carries payload: an exception is its type and where it passed, not its text.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]
_QUIET: Final = ("aiohttp.access", "asyncio", "clickhouse_connect", "chdb", "grpc")
_FRAMES: Final = 12


def configure(level: Level = "info", form: Format = "auto", out: TextIO | None = None) -> None:
    """Send structlog's and the standard library's lines to ``out`` (standard error), one format for both."""
    out = out or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_exception_text,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form, out)],
        )
    )
    logging.basicConfig(handlers=[handler], level=_number(level), force=True)
    # A line that cannot be written is lost: the library would print what it was about, exception texts included.
    logging.raiseExceptions = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, _number(level)))


def without_exception_text(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace ``exc_info`` by the exception's type and its last frames: its text may quote payload."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["at"] = frames(error.__traceback__)
    return event


def frames(trace: TracebackType | None) -> list[str]:
    """Where an exception passed, innermost last: ``file:line function``."""
    summary = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in summary]


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _renderer(form: Format, out: TextIO) -> structlog.typing.Processor:
    if form == "console" or (form == "auto" and out.isatty()):
        return structlog.dev.ConsoleRenderer(colors=out.isatty())
    return structlog.processors.JSONRenderer()
