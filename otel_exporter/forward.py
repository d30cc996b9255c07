"""Sends OTLP files to a `serve` that is already running, as any other client would: OTLP/HTTP, protobuf."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_exporter import otlp_files
from otel_exporter.failures import Reason, Refused, RetryLater

TIMEOUT: Final = 60.0
_PATIENCE: Final = 120.0  # seconds a service may keep asking us to come back
_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True)
class Sent:
    """What was acknowledged."""

    files: int
    requests: int
    bytes: int


def send_files(address: str, token: str, paths: Sequence[Path], progress: Callable[[int], None]) -> Sent:
    """Send every request of ``paths`` to ``host:port``; ``progress`` gets the bytes of each finished file.

    Raises:
        Refused: a file is not OTLP, or the service refuses a request.
        RetryLater: the service keeps asking to come back.
        OSError: it cannot be reached.
    """
    requests = volume = 0
    with closing(http.client.HTTPConnection(address, timeout=TIMEOUT)) as connection:
        for path in paths:
            for signal, body in otlp_files.read(path):
                post(connection, f"/v1/{signal}", token, body, path)
                requests, volume = requests + 1, volume + len(body)
            progress(path.stat().st_size)
    return Sent(len(paths), requests, volume)


def post(connection: http.client.HTTPConnection, url: str, token: str, body: bytes, what: object) -> None:
    """Send one request until it is acknowledged; ``what`` it is called in a failure.

    Raises:
        Refused: the service refuses it.
        RetryLater: the service keeps asking to come back.
        OSError: it cannot be reached.
    """
    headers = {"Content-Type": "application/x-protobuf"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    for pause in _pauses():
        connection.request("POST", url, body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status < 300:
            return
        if response.status not in (429, 502, 503, 504):
            raise Refused(Reason.MALFORMED, f"{what} was refused ({response.status}): {_sentence(answer)}")
        time.sleep(min(float(response.headers.get("Retry-After") or pause), _LONGEST_PAUSE))
    raise RetryLater(Reason.OVERLOADED, f"the service keeps asking to send {what} later: {_sentence(answer)}")


def _pauses() -> Iterator[float]:
    give_up, pause = time.monotonic() + _PATIENCE, 0.2
    while time.monotonic() < give_up:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)


def _sentence(answer: bytes) -> str:
    """The message of an OTLP failure: a protobuf Status."""
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status

    try:
        return Status.FromString(answer).message or "no reason given"
    except DecodeError:
        return "no reason given"
