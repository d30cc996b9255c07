"""Rows of LiteLLM's spend logs as OTLP log records, the way `processors.dialects.litellm_spend_log` reads them.

Only what is listed here leaves the row: prompts, answers and the request's body are never read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from otel_exporter.imports.records import Record, request
from otel_exporter.litellm_api.directory import Directory
from processors.dialects.litellm_spend_log import EVENT_NAME, PREFIX

SCOPE: Final = "tokentide.import.litellm"
#: Column of the row -> attribute, where it is taken as it is.
_COLUMNS: Final = {
    **{
        name: PREFIX + name
        for name in (
            "request_id", "call_type", "status", "model", "model_group", "model_id", "api_base", "spend",
            "prompt_tokens", "completion_tokens", "cache_hit",
        )
    },
    "custom_llm_provider": PREFIX + "provider",
    "api_key": "metadata.user_api_key_hash",
    "user": "metadata.user_api_key_user_id",
    "team_id": "metadata.user_api_key_team_id",
    "organization_id": "metadata.user_api_key_org_id",
    "end_user": "metadata.user_api_key_end_user_id",
    "requester_ip_address": "metadata.requester_ip_address",
}  # fmt: skip
#: The same of the row's `metadata`.
_METADATA: Final = {
    "user_api_key_alias": "metadata.user_api_key_alias",
    "user_api_key_team_alias": "metadata.user_api_key_team_alias",
    "user_api_key_project_id": "metadata.user_api_key_project_id",
    "user_api_key_project_alias": "metadata.user_api_key_project_alias",
    "user_agent": "metadata.user_agent",
    "litellm_overhead_time_ms": PREFIX + "overhead_ms",
}
_ERROR: Final = {"error_class": "error_type", "error_code": "error_code", "llm_provider": "error_provider"}
#: Attribute of a name -> kind, and attribute of the id it belongs to.
_NAMED: Final = {
    "metadata.user_api_key_alias": ("key", "metadata.user_api_key_hash"),
    "metadata.user_api_key_team_alias": ("team", "metadata.user_api_key_team_id"),
    "metadata.user_api_key_org_alias": ("organization", "metadata.user_api_key_org_id"),
}
#: LiteLLM makes up a session of this shape for every request that names none.
_MADE_UP: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_USAGE_NUMBERS: Final = re.compile(r"token", re.ASCII)


def spend_request(rows: Iterable[Mapping[str, Any]], names: Directory) -> bytes:
    """One Export*ServiceRequest with the rows as log records, in the order of their ids; the same rows, the same bytes.

    A row that says nothing of when it ended, or is no row at all, is left out.
    """
    ordered = sorted(rows, key=lambda row: str(row.get("request_id")))
    return request(SCOPE, (record for row in ordered if (record := _record(row, names)) is not None))


def _record(row: Mapping[str, Any], names: Directory) -> Record | None:
    start, end = instant(row.get("startTime")), instant(row.get("endTime"))
    if end is None:
        return None
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        metadata = _json(metadata)
    attributes = dict(_attributes(row, metadata if isinstance(metadata, Mapping) else {}))
    if start is not None:
        attributes[PREFIX + "duration_ms"] = str((end - start) / 1e6)
        first = instant(row.get("completionStartTime"))
        if first is not None and start < first < end:  # of an answer that was not streamed it is the end
            attributes[PREFIX + "ttft_ms"] = str((first - start) / 1e6)
    for name, (kind, identifier) in _NAMED.items():
        if name not in attributes and (known := names.name(kind, attributes.get(identifier, ""))):
            attributes[name] = known
    return Record(EVENT_NAME, end, attributes)


def _attributes(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _texts(row, _COLUMNS)
    yield from _texts(metadata, _METADATA)
    if call_id := row.get("litellm_call_id") or metadata.get("litellm_call_id"):
        yield PREFIX + "call_id", str(call_id)
    if total := row.get("total_tokens"):
        yield PREFIX + "total_tokens", str(total)
    if usage := _usage(metadata.get("usage_object") or metadata.get("additional_usage_values")):
        yield PREFIX + "usage_object", usage
    if not _MADE_UP.fullmatch(session := str(row.get("session_id") or "")) and session:
        yield "session.id", session
    for name, values in (
        (PREFIX + "request_tags", row.get("request_tags")),
        ("metadata.applied_guardrails", metadata.get("applied_guardrails")),
    ):
        listed = _json(values) if isinstance(values, str) else values
        if isinstance(listed, list) and listed:
            yield name, json.dumps([str(value) for value in listed])
    error = metadata.get("error_information")
    if isinstance(error, Mapping):
        yield from _texts(error, {name: PREFIX + column for name, column in _ERROR.items()})


def _texts(source: Mapping[str, Any], wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, attribute in wanted.items():
        value = source.get(name)
        if value is not None and value != "" and not isinstance(value, list | dict):
            yield attribute, str(value)


def _usage(usage: object) -> str:
    """Counts of tokens only, two levels deep: a usage object may hold anything."""
    if not isinstance(usage, Mapping):
        return ""
    counts: dict[str, Any] = {}
    for name, value in usage.items():
        if isinstance(value, Mapping):
            counts[name] = {part: number for part, number in value.items() if isinstance(number, int)}
        elif isinstance(value, int) and _USAGE_NUMBERS.search(name):
            counts[name] = value
    return json.dumps(counts)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def instant(value: object) -> int | None:
    """ISO 8601, UTC when no offset is given, as nanoseconds since 1970; None when it is no time."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000 if since.days >= 0 else None
