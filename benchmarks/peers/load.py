"""Sends requests over OTLP/gRPC as an exporter does: a few in flight, sent again when told to come back later."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import grpc

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_AGAIN: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_PATIENCE: Final = 120.0


@dataclass
class Sent:
    """What became of the requests. Spans that nobody answered for are neither acknowledged nor refused."""

    acknowledged: int = 0
    told_later: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, name: str, number: int) -> None:
        """Add to one of them."""
        with self._lock:
            setattr(self, name, getattr(self, name) + number)


def send(port: int, bodies: Iterable[bytes], spans: int, *, in_flight: int = 8, patient: bool = True) -> Sent:
    """Send every body of ``spans`` spans; returns when all are answered.

    Args:
        patient: send again what is told to come later, as exporters do; otherwise that is counted and left.
    """
    sent, queue = Sent(), iter(bodies)
    lock = threading.Lock()

    def worker() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            export = channel.unary_unary(_METHOD)
            while body := _next(queue, lock):
                _one(export, body, spans, sent, patient=patient)

    started = time.perf_counter()
    threads = [threading.Thread(target=worker) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent.seconds = time.perf_counter() - started
    return sent


def _next(queue: Iterator[bytes], lock: threading.Lock) -> bytes | None:
    with lock:
        return next(queue, None)


def _one(export: grpc.UnaryUnaryMultiCallable, body: bytes, spans: int, sent: Sent, *, patient: bool) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            export(body, timeout=60)
        except grpc.RpcError as error:
            if error.code() in _AGAIN and time.monotonic() < until:
                sent.count("told_later", 1)
                if patient:
                    time.sleep(0.2)
                    continue
            sent.count("unanswered", spans)
        else:
            sent.count("acknowledged", spans)
        return
