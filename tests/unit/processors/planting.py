"""Batches with a text planted in every place a sender can write to, and a search through everything that came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from processors.batch import (
    ATTRIBUTES,
    EVENTS,
    EXEMPLARS,
    LINKS,
    RECORDS,
    RESOURCES,
    SCOPES,
    Batch,
    Signal,
    empty,
)
from processors.contract import OBSERVATION_SCHEMA

FRAMES = ("resources", "scopes", "records", "events", "links", "exemplars", "attributes", "observations")
Attribute = tuple[str, int, str, str, str]


def frame(rows: Sequence[Sequence[Any]], schema: pl.Schema) -> pl.DataFrame:
    """Rows as a frame."""
    return pl.DataFrame(rows, schema=schema, orient="row")


def batch_with(
    *attributes: Attribute,
    signal: Signal = Signal.TRACES,
    scope: str = "litellm",
    status: str = "",
    event: str = "",
    body: tuple[str, str] = ("empty", ""),
    records: int = 1,
) -> Batch:
    """A batch of ``records`` records in one scope; attributes are (level, owner, key, type, value)."""
    spans = [(n, 0, 0, "ab" * 16, "cd" * 8, "", "", "name", 1, 1, 2, 2, status, 0) for n in range(records)]
    logs = [(n, 0, 0, 1, 1, 9, "INFO", event, *body, "ab" * 16, "cd" * 8, 0) for n in range(records)]
    points = [
        {**dict.fromkeys(RECORDS[Signal.METRICS]), "record": n, "resource": 0, "scope": 0} for n in range(records)
    ]
    rows = {Signal.TRACES: spans, Signal.LOGS: logs, Signal.METRICS: [tuple(point.values()) for point in points]}
    return empty(signal, "t").with_frames(
        resources=frame([(0, "")], RESOURCES),
        scopes=frame([(0, 0, scope, "", "")], SCOPES),
        records=frame(rows[signal], RECORDS[signal]),
        events=frame([(0, 0, 1, event)] if event and signal is Signal.TRACES else [], EVENTS),
        attributes=frame(attributes, ATTRIBUTES),
    )


def attribute(key: str, value: str, kind: str = "string", level: str = "record", owner: int = 0) -> Attribute:
    """One attribute."""
    return level, owner, key, kind, value


def value_of(batch: Batch, key: str) -> str | None:
    """The value of an attribute, None when it is gone."""
    values = batch.attributes.filter(pl.col("key") == key)["value"]
    return values[0] if values.len() else None


def planted(signal: Signal, text: str) -> Batch:
    """A batch of one record of everything, ``text`` in every place of it."""
    every = [name for name, kind in RECORDS[signal].items() if kind == pl.String and not name.endswith("_id")]
    record = {**dict.fromkeys(RECORDS[signal]), "record": 0, "resource": 0, "scope": 0, **dict.fromkeys(every, text)}
    record |= {name: "ab" * 16 for name in RECORDS[signal] if name.endswith("_id")}
    record |= {"kind": "sum"} if signal is Signal.METRICS else {}
    record |= {"body_type": "string"} if signal is Signal.LOGS else {}
    levels = ["resource", "scope", "record", "event", "link", "exemplar"]
    nested = f'{{"a": ["x", {{"b": "{text}"}}]}}'
    attributes = [
        (level, 0, key, kind, value)
        for level in levels
        for key, kind, value in (
            ("note", "string", f"see {text} there"),
            ("list", "array", f'["{text}"]'),
            ("map", "kvlist", nested),
            ("json", "string", nested.replace('"', '\\"')),
            (f"key {text}", "string", "x"),
            ("metadata.requester_metadata", "string", f"{{'note': '{text}'}}"),
            ("exception.message", "string", f"ValueError: {text}"),
            ("user.email", "string", text),
            ("gen_ai.input.messages", "string", f'[{{"role": "user", "content": "{text}"}}]'),
        )
    ]
    texts = [name for name, kind in OBSERVATION_SCHEMA.items() if kind == pl.String and not name.endswith("span_id")]
    seen = {
        name: text for name in texts if name not in ("tenant", "source", "role", "status", "trace_id", "request_span")
    }
    observation = {**dict.fromkeys(OBSERVATION_SCHEMA), **seen, "tags": ["a", text], "finish_reasons": [text]}
    return empty(signal, "t").with_frames(
        resources=frame([(0, text)], RESOURCES),
        scopes=frame([(0, 0, text, text, text)], SCOPES),
        records=frame([tuple(record.values())], RECORDS[signal]),
        events=frame([(0, 0, 1, text)], EVENTS),
        links=frame([(0, 0, "ab" * 16, "cd" * 8, text)], LINKS),
        exemplars=frame([(0, 0, 1, 0.5, "cd" * 8, "ab" * 16)], EXEMPLARS),
        attributes=frame(attributes, ATTRIBUTES),
        observations=pl.DataFrame([observation], schema=OBSERVATION_SCHEMA),
    )


def places(batch: Batch, text: str) -> list[str]:
    """Where ``text`` still stands."""
    return [place for place, value in _texts(batch) if text in value]


def _texts(batch: Batch) -> Iterator[tuple[str, str]]:
    for name in FRAMES:
        for row in getattr(batch, name).iter_rows(named=True):
            key = f"[{row['level']} {row['key']}]" if name == "attributes" else ""
            yield from ((f"{name}.{column}{key}", str(value)) for column, value in row.items() if value is not None)
