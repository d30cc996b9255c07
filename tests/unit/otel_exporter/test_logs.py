"""Our own log."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from otel_exporter import logs


def logged(form: logs.Format = "json", level: logs.Level = "info") -> tuple[io.StringIO, Any]:
    """Where lines go, and a logger."""
    out = io.StringIO()
    logs.configure(level, form, out)
    return out, structlog.get_logger("test")


def test_json_lines() -> None:
    """A line is one JSON object with time, level, event and fields; the standard library's lines look the same."""
    out, log = logged()
    log.info("serving", port=4317)
    logging.getLogger("other").warning("hot %s", "water")
    ours, theirs = map(json.loads, out.getvalue().splitlines())
    assert (ours["event"], ours["level"], ours["port"]) == ("serving", "info", 4317)
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"]) == ("hot water", "warning")


def test_levels() -> None:
    """Less severe lines than asked for are not written."""
    out, log = logged(level="error")
    log.warning("quiet")
    logging.getLogger("other").info("quiet")
    assert out.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "console", "auto"])
def test_exceptions_without_their_text(form: logs.Format) -> None:
    """An exception is its type and where it passed; its text, which may quote payload, is not written."""
    out, log = logged(form)
    try:
        raise ValueError("payload-s3cret")
    except ValueError as error:
        log.exception("failed")
        log.warning("failed", exc_info=error)
        logging.getLogger("other").exception("failed")
    text = out.getvalue()
    assert text.count("ValueError") == 3 and "test_logs.py" in text
    assert "payload" not in text


def test_a_line_that_cannot_be_written_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a closed output stops nobody, and what the line was about is not printed raw instead."""
    out, log = logged()
    out.close()
    try:
        raise ValueError("payload-s3cret")
    except ValueError:
        log.exception("failed")
    assert "".join(capsys.readouterr()) == ""
