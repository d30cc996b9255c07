"""OTLP files: raw `Export*ServiceRequest` protobuf, or JSON as OTLP and the Collector's file exporter write it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_exporter.decode.door import parse
from otel_exporter.failures import Reason, Refused
from otel_exporter.otlp_json import to_protobuf
from processors.batch import Signal

Request = tuple[Signal, bytes]

_JSON_KEYS: Final = {
    "resourceSpans": Signal.TRACES,
    "resource_spans": Signal.TRACES,
    "resourceLogs": Signal.LOGS,
    "resource_logs": Signal.LOGS,
    "resourceMetrics": Signal.METRICS,
    "resource_metrics": Signal.METRICS,
}
#: A small metric also reads as a span (text where a span has text), hardly ever the other way round.
_MOST_PECULIAR_FIRST: Final = (Signal.METRICS, Signal.LOGS, Signal.TRACES)
_SUFFIXES: Final = (".pb", ".binpb", ".json", ".jsonl", ".ndjson")
_COMPRESSED: Final = ".gz"


def find(paths: Sequence[Path]) -> list[Path]:
    """The files of ``paths``: a directory stands for the OTLP files in and below it, in order of their names.

    Raises:
        Refused: a path does not exist, or a directory holds no OTLP file.
    """
    return [file for path in paths for file in _files(path)]


def read(path: Path) -> Iterator[Request]:
    """Every request of one file, as protobuf bytes.

    Raises:
        Refused: the file is neither OTLP protobuf nor OTLP JSON; the sentence names the file and line.
        OSError: it cannot be read.
    """
    with _open(path) as file:
        start = file.read(1)
        while start.isspace():
            start = file.read(1)
        file.seek(0)
        if start in (b"{", b"["):
            yield from _read_json(path, file)
        else:
            yield from _read_protobuf(path, file.read())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise Refused(Reason.MALFORMED, f"{path} does not exist")
        return [path]
    found = sorted(file for file in path.rglob("*") if file.is_file() and _plain_name(file).endswith(_SUFFIXES))
    if not found:
        raise Refused(Reason.MALFORMED, f"{path} holds no file named {', '.join(f'*{end}' for end in _SUFFIXES)}")
    return found


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(_COMPRESSED)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == _COMPRESSED else path.open("rb")


def _read_protobuf(path: Path, body: bytes) -> Iterator[Request]:
    if not body:
        return
    named = [signal for signal in Signal if signal.value in _plain_name(path).split(".")]
    for signal in named or _MOST_PECULIAR_FIRST:
        if _is_whole(signal, body, strict=not named):
            yield signal, body
            return
    what = f"OTLP {named[0]}" if named else "OTLP: name it *.traces.pb, *.logs.pb or *.metrics.pb"
    raise Refused(Reason.MALFORMED, f"{path} is not {what} protobuf")


def _is_whole(signal: Signal, body: bytes, *, strict: bool) -> bool:
    """Whether ``body`` is a request of ``signal``; ``strict``: with no field that only another signal has."""
    try:
        request = parse(signal, body)
    except Refused:
        return False
    return not strict or not _has_unknown(request)


def _has_unknown(message: Message) -> bool:
    if len(UnknownFieldSet(message)):
        return True
    for field, value in message.ListFields():
        if field.message_type is not None:
            below = value if field.is_repeated else [value]
            if any(_has_unknown(part) for part in below):
                return True
    return False


def _read_json(path: Path, file: BinaryIO) -> Iterator[Request]:
    """One document per line; a file that is one document over many lines is read whole."""
    first = file.readline()
    if not _is_document(first):
        yield from _requests(first + file.read(), str(path))
        return
    yield from _requests(first, f"{path}:1")
    for number, line in enumerate(file, 2):
        if line.strip():
            yield from _requests(line, f"{path}:{number}")


def _is_document(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _requests(text: bytes, where: str) -> Iterator[Request]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(Reason.MALFORMED, f"{where} is not JSON") from None
    documents = document if isinstance(document, list) else [document]
    for part in documents:
        signal = _signal(part)
        if signal is None:
            keys = "resourceSpans, resourceLogs or resourceMetrics"
            raise Refused(Reason.MALFORMED, f"{where} is not OTLP JSON: it has none of {keys}")
        yield signal, _protobuf(signal, text if part is document else json.dumps(part).encode(), where)


def _signal(document: Any) -> Signal | None:
    if isinstance(document, dict):
        for key, signal in _JSON_KEYS.items():
            if key in document:
                return signal
    return None


def _protobuf(signal: Signal, text: bytes, where: str) -> bytes:
    try:
        return to_protobuf(signal, text)
    except Refused as refused:
        raise Refused(refused.reason, f"{where}: {refused.sentence}") from None


def size(paths: Sequence[Path]) -> int:
    """Bytes of all files together, for a progress bar."""
    return sum(path.stat().st_size for path in paths)
