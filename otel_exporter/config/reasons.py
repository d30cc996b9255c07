"""Pydantic's errors as sentences: what must be there instead, without quoting a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from otel_exporter.config.faults import Path
from otel_exporter.config.fields import is_section, kind_at
from otel_exporter.config.values import Secret


def reasons(errors: list[Any]) -> Iterator[tuple[Path, str]]:
    """Path and sentence of every error of one validation."""
    for error in errors:
        path: Path = error["loc"]
        if error["type"] == "rules":
            for below, reason in error["ctx"]["broken"]:
                yield (*path, *below.split(".")), reason
        else:
            yield path, _reason(error, path)


def _reason(error: Any, path: Path) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{_meant(path)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a section of `key: value` lines"
        case "tuple_type" | "list_type":
            return "must be a list"
        case "string_type":
            return "must be text (a number needs quotes)"
        case "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must look like {context['pattern']}"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"must be a whole number{_got(error, path)}"
        case "bool_parsing" | "bool_type":
            return f"must be true or false{_got(error, path)}"
        case "less_than_equal" | "greater_than_equal" | "greater_than":
            return error["msg"].replace("Input should be", "must be") + _got(error, path)
        case "literal_error":
            return f"must be {context['expected']}{_got(error, path)}"
        case "value_error":
            return str(context["error"])
    return str(error["msg"]).replace("Input should be", "must be")


def _got(error: Any, path: Path) -> str:
    """The offending value, when it is short and no secret."""
    shown = repr(error["input"])
    return f", not {shown}" if kind_at(path) is not Secret and len(shown) <= 60 else ""


def _meant(path: Path) -> str:
    parent = kind_at(path[:-1])
    known = list(parent.model_fields) if is_section(parent) else []
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
