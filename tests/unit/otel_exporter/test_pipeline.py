"""The pipeline under load: what waits is bounded in time, what nobody waits for makes room, nothing hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import pytest

from otel_exporter.commit import Outcomes, Request
from otel_exporter.failures import Reason, RetryLater
from otel_exporter.pipeline import Pace, Pipeline
from processors.batch import Signal


class Nothing:
    """A spool that has seen nothing."""

    def seen(self, _tenant: str, _digest: bytes) -> bool:
        """No."""
        return False


class Steady(Pace):
    """A pace that nothing changes."""

    def committed(self, size: int, seconds: float, *, backlog: bool) -> None:
        """Nothing."""


class Gate:
    """Commits a group when it is let; remembers what it was."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def commit(self, requests: Sequence[Request]) -> Outcomes:
        """When somebody releases ``go``."""
        self.groups.append([request.body for request in requests])
        self.begun.release()
        assert self.go.acquire(timeout=60)
        return {request.key: None for request in requests}


@contextmanager
def running(gate: Gate, ack_seconds: float) -> Iterator[Pipeline]:
    pipeline = Pipeline(gate, Nothing(), ack_seconds=ack_seconds)  # type: ignore[arg-type]
    pipeline.start()
    yield pipeline
    gate.go.release(1000)
    pipeline.stop()


def request(number: int, size: int) -> Request:
    return Request(Signal.TRACES, "t", number.to_bytes(4, "big") * (size // 4))


def test_more_than_can_be_committed_in_time_is_put_off_at_once() -> None:
    """Behind a slow commit the queue takes what fits into its time and asks the next to retry, without waiting."""
    gate = Gate()
    with running(gate, ack_seconds=5.0) as pipeline:
        pipeline.submit(request(0, 4))
        assert gate.begun.acquire(timeout=60)
        pipeline._pace.bytes_a_second = 1000.0  # room for 3,000
        kept = [pipeline.submit(request(number, 1000)) for number in range(1, 4)]
        late = pipeline.submit(request(9, 1000))
        assert isinstance(late.exception(timeout=0), RetryLater)
        assert late.exception().reason is Reason.OVERLOADED  # type: ignore[union-attr]
        assert not any(future.done() for future in kept)
        assert not pipeline.submit(request(1, 1000)).done(), "a resend of what waits shares its outcome"
        gate.go.release(1000)
        assert [future.result(timeout=60) for future in kept] == [None] * 3
    assert sorted(chain(*gate.groups)) == sorted(request(n, 1000 if n else 4).body for n in range(4))


def test_a_request_larger_than_the_room_is_taken_when_nothing_waits() -> None:
    """However slow commits are, one request is always let in: it would never fit otherwise."""
    gate = Gate()
    with running(gate, ack_seconds=5.0) as pipeline:
        pipeline._pace.bytes_a_second = 1.0
        future = pipeline.submit(request(1, 100_000))
        gate.go.release()
        assert future.result(timeout=60) is None


def test_who_gave_up_is_not_committed_and_makes_room() -> None:
    """A request that was answered RetryLater because it waited too long leaves the queue; its neighbour stays."""
    gate = Gate()

    async def run(pipeline: Pipeline) -> None:
        with pytest.raises(RetryLater) as slow:
            await pipeline.accept(Signal.TRACES, "t", request(1, 400).body)
        assert slow.value.reason is Reason.SLOW

    with running(gate, ack_seconds=0.3) as pipeline:
        pipeline.submit(request(0, 4))
        assert gate.begun.acquire(timeout=60)
        stays = pipeline.submit(request(2, 400))
        asyncio.run(run(pipeline))
        gate.go.release(1000)
        assert stays.result(timeout=60) is None
    assert list(chain(*gate.groups)) == [request(0, 4).body, request(2, 400).body]


def test_groups_are_as_large_as_can_be_acknowledged_in_time() -> None:
    """A backlog is committed in groups of a fifth of the acknowledgement's time, or the last would always be late."""
    gate = Gate()
    with running(gate, ack_seconds=5.0) as pipeline:
        pipeline.submit(request(0, 4))
        assert gate.begun.acquire(timeout=60)
        pipeline._pace = Steady(first=1000.0)
        futures = [pipeline.submit(request(number, 500)) for number in range(1, 7)]
        gate.go.release()
        assert gate.begun.acquire(timeout=60)
        assert len(gate.groups[1]) == 2
        gate.go.release(1000)
        assert [future.result(timeout=60) for future in futures] == [None] * 6


def test_senders_that_are_answered_together_are_committed_together_again() -> None:
    """Whoever was answered with others and sends again shares the next group with them: none is a group of its own."""
    gate, senders, rounds = Gate(), 4, 5

    def send_again(pipeline: Pipeline, sender: int) -> None:
        for number in range(1, 1 + rounds):
            time.sleep(0.002 * sender)  # they are not back at once
            pipeline.submit(request(100 * sender + number, 400)).result(timeout=60)

    with running(gate, ack_seconds=5.0) as pipeline, ThreadPoolExecutor(senders) as threads:
        pipeline.submit(request(0, 4))
        assert gate.begun.acquire(timeout=60)  # all of them wait behind the first
        sending = [threads.submit(send_again, pipeline, sender) for sender in range(senders)]
        while len(pipeline._waiting) < senders:
            time.sleep(0.001)
        for _ in range(1 + rounds):
            time.sleep(0.3)  # a group takes its time, and part of that is what the next one waits for them
            gate.go.release()
        assert [each.result(timeout=60) for each in sending] == [None] * senders
    assert [len(group) for group in gate.groups] == [1] + [senders] * rounds


def test_a_sender_alone_waits_for_nobody() -> None:
    """After a group of one with nobody behind it, the next one begins at once."""
    gate = Gate()
    gate.go.release(1000)
    with running(gate, ack_seconds=5.0) as pipeline:
        for number in range(5):
            pipeline.submit(request(number, 400)).result(timeout=60)
            assert pipeline._moment == 0.0


def test_the_pace_follows_what_is_measured() -> None:
    """More than thought is believed at once; less only under a backlog, and never below the least."""
    pace = Pace(first=1000.0, least=100.0)
    pace.committed(10, 1.0, backlog=False)
    assert pace.bytes_a_second == 1000.0
    pace.committed(3000, 1.0, backlog=False)
    assert pace.bytes_a_second == 2000.0
    for _ in range(50):
        pace.committed(1, 1.0, backlog=True)
    assert pace.bytes_a_second == 100.0
