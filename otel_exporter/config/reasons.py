"""Pydantic's errors as sentences: what must be there instead, without quoting a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final

from otel_exporter.config.faults import Path
from otel_exporter.config.fields import is_section, kind_at
from otel_exporter.config.values import Secret, ServerUrl

_PRIVATE: Final = (Secret, ServerUrl)


def reasons(errors: list[Any]) -> Iterator[tuple[Path, str]]:
    """Path and sentence of every error of one validation."""
    for error in errors:
        path: Path = error["loc"]
        if error["type"] == "rules":
            for below, reason in error["ctx"]["broken"]:
                yield (*path, *below), reason
        else:
            yield path, _reason(error, path)


#: Pydantic's error type to our sentence; ``{got}`` is the offending value.
_SENTENCES: Final = {
    "extra_forbidden": "unknown key{meant}",
    "model_type": "must be a section of `key: value` lines",
    "dict_type": "must be a section of `key: value` lines",
    "tuple_type": "must be a list",
    "string_type": "must be text (a number needs quotes)",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must look like {pattern}{got}",
    "int_parsing": "must be a whole number{got}",
    "int_type": "must be a whole number{got}",
    "int_from_float": "must be a whole number{got}",
    "float_parsing": "must be a number{got}",
    "float_type": "must be a number{got}",
    "finite_number": "must be a number{got}",
    "bool_parsing": "must be true or false{got}",
    "bool_type": "must be true or false{got}",
    "less_than_equal": "must be at most {le}{got}",
    "greater_than_equal": "must be at least {ge}{got}",
    "greater_than": "must be more than {gt}{got}",
    "literal_error": "must be {expected}{got}",
    "path_type": "must be the path of a file or directory",
    "value_error": "{error}",
}


def _reason(error: Any, path: Path) -> str:
    sentence = _SENTENCES.get(error["type"], "cannot be used{got}")
    return sentence.format(got=_got(error["input"], path), meant=_meant(path), **error.get("ctx", {}))


def _got(value: object, path: Path) -> str:
    """The offending value, when it is short and no secret."""
    shown = repr(value)
    return f", not {shown}" if kind_at(path) not in _PRIVATE and len(shown) <= 60 else ""


def _meant(path: Path) -> str:
    parent = kind_at(path[:-1])
    known = list(parent.model_fields) if is_section(parent) else []
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
