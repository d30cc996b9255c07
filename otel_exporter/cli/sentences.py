"""The one place where a failure becomes a sentence for people and an exit code for programs."""

from __future__ import annotations

import os
import sys
from typing import Final

FAILED: Final = 1
MISUSED: Final = 2
#: Our failures whose text is a sentence. One that was raised has its module loaded: none is imported for this.
_OURS: Final = (
    ("otel_exporter.failures", "Refused"),
    ("otel_exporter.failures", "RetryLater"),
    ("otel_exporter.runfile", "AlreadyServing"),
    ("otel_exporter.identity.keyfile", "KeysUnreadable"),
    ("otel_exporter.pricebook", "NoPriceTable"),
    ("otel_exporter.receivers.tls", "TlsUnusable"),
    ("otel_exporter.writer", "WriterStopped"),
    ("clickhouse_schema.runner", "MigrationRefused"),
)


def explain(error: Exception) -> tuple[str, int]:
    """What to print on standard error, and the exit code. Anything unforeseen is called a bug, without its text."""
    return _usage(error) or _configuration(error) or _failure(error) or _store(error) or _system(error) or _bug(error)


def _usage(error: Exception) -> tuple[str, int] | None:
    from typer.exceptions import TyperException

    if not isinstance(error, TyperException):
        return None
    message = error.format_message().replace("Value error, ", "")
    if "\n" in message:  # a group called without a command: its help
        return message, MISUSED
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return f"{_lower(message).rstrip('.')}{hint}", error.exit_code


def _configuration(error: Exception) -> tuple[str, int] | None:
    from otel_exporter.config.faults import ConfigFaults

    if not isinstance(error, ConfigFaults):
        return None
    return "\n".join(map(str, error.faults)), MISUSED


def _failure(error: Exception) -> tuple[str, int] | None:
    for module, name in _OURS:
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and isinstance(error, known):
            return str(error), FAILED
    return None


def _store(error: Exception) -> tuple[str, int] | None:
    """ClickHouse's own words are shown: whoever typed the SQL may see what it said about it."""
    from clickhouse_schema.errors import StoreError

    if not isinstance(error, StoreError):
        return None
    detail = " ".join(error.detail.split()).removeprefix(f"Code: {error.code}. DB::Exception: ")
    return (f"{error.sentence}: {detail}" if detail else error.sentence), FAILED


def _system(error: Exception) -> tuple[str, int] | None:
    if not isinstance(error, OSError):
        return None
    why = error.strerror or str(error) or os.strerror(error.errno or 0)
    return (f"{error.filename}: {why}" if error.filename else why), FAILED


def _bug(error: Exception) -> tuple[str, int]:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    sentence = f"unexpected {type(error).__name__}{where}: this is a bug (TOKENTIDE_TRACEBACK=1 shows more)"
    return sentence, FAILED


def _lower(sentence: str) -> str:
    """Sentences here start small: they follow a prompt, not a full stop."""
    return sentence[:1].lower() + sentence[1:]
