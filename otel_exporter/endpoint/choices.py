"""Settings of a request: which ones it may choose, and how far."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_exporter.endpoint.faults import Fault

#: A request may choose these freely: none of them reaches outside the query or undoes a bound.
FREE: Final = frozenset(
    {"cast_string_to_dynamic_use_inference", "date_time_input_format", "date_time_output_format", "final",
     "format_csv_delimiter", "group_by_use_nulls", "input_format_defaults_for_omitted_fields",
     "input_format_null_as_default", "input_format_skip_unknown_fields", "insert_deduplication_token",
     "insert_null_as_default", "join_use_nulls", "limit", "max_result_rows", "max_rows_to_read", "max_bytes_to_read",
     "offset", "output_format_arrow_string_as_string", "output_format_decimal_trailing_zeros",
     "output_format_json_named_tuples_as_objects", "output_format_json_quote_64bit_floats",
     "output_format_json_quote_64bit_integers", "output_format_json_quote_decimals",
     "output_format_json_quote_denormals", "output_format_native_encode_types_in_binary_format",
     "output_format_parquet_string_as_string", "session_timezone", "transform_null_in", "use_uncompressed_cache"}
)  # fmt: skip
#: Ordinary clients send these; what they ask for is so, or makes no difference to this engine.
IGNORED: Final = frozenset(
    {"async_insert", "wait_for_async_insert", "async_insert_busy_timeout_ms", "async_insert_max_data_size",
     "cancel_http_readonly_queries_on_client_close", "log_comment", "log_queries", "network_compression_method",
     "network_zstd_compression_level", "http_zlib_compression_level", "insert_quorum", "result_overflow_mode"}
)  # fmt: skip
_PAIR: Final = re.compile(r"(\w+) = ('(?:[^\\']|\\.)*'|-?[\w.]+)(?:, |$)", re.DOTALL)


@dataclass(frozen=True)
class Bounds:
    """What one query may take: seconds, bytes of memory, bytes of an answer that is held whole."""

    seconds: int
    memory: int
    result_bytes: int

    @property
    def limits(self) -> dict[str, int]:
        """The bounds as ClickHouse's settings."""
        return {
            "max_execution_time": self.seconds,
            "max_memory_usage": self.memory,
            "max_result_bytes": self.result_bytes,
        }

    @property
    def most(self) -> dict[str, int]:
        """Settings that a request may lower, and the most they may be."""
        return self.limits | {"max_threads": os.cpu_count() or 1, "max_block_size": 65_536}


def chosen(asked: Mapping[str, str], bounds: Bounds) -> dict[str, str]:
    """The settings to run with, of those a request asks for.

    More time or memory than there is means as much as there is: clients derive it from their own patience.

    Raises:
        Fault: one that cannot be chosen (452), no bound at all (452), or less than read-only (164).
    """
    return dict(_judged(asked, bounds.most))


def _judged(asked: Mapping[str, str], most: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for name, value in asked.items():
        if name in FREE:
            yield name, value
        elif name in most:
            yield name, str(_lowered(name, value, most[name]))
        elif name == "readonly":
            if value not in ("1", "2"):
                raise Fault(164, "READONLY", "Cannot modify 'readonly' setting in readonly mode")
        elif name not in IGNORED:
            raise Fault(452, "SETTING_CONSTRAINT_VIOLATION", f"Setting {_name(name)} should not be changed")


def _lowered(name: str, value: str, most: int) -> int:
    try:
        number = int(float(value))
    except (ValueError, OverflowError):
        raise Fault(27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", f"Setting {name} is a number") from None
    if number < 1:
        raise Fault(452, "SETTING_CONSTRAINT_VIOLATION", f"Setting {name} shouldn't be less than 1")
    return min(number, most)


def _name(name: str) -> str:
    return name if re.fullmatch(r"\w{1,80}", name, re.ASCII) else "of this name"


def assigned(canonical: str) -> dict[str, str]:
    """Names and values of a `SET` statement as ClickHouse's parser writes it.

    Raises:
        Fault: values that are neither text nor number (62).
    """
    rest = canonical.removeprefix("SET ")
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        pair = _PAIR.match(rest, at)
        if pair is None:
            raise Fault(62, "SYNTAX_ERROR", "SET takes name = 'text' or name = number here")
        found[pair[1]] = _unquoted(pair[2])
        at = pair.end()
    return found


def quoted(text: str) -> str:
    """A text as a SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unquoted(literal: str) -> str:
    if not literal.startswith("'"):
        return {"true": "1", "false": "0"}.get(literal, literal)
    return re.sub(r"\\(.)", r"\1", literal[1:-1], flags=re.DOTALL)
