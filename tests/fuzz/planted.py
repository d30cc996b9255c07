"""Targets with a fault in them, to see that the fuzzer finds it."""

from __future__ import annotations

import os
import time
from collections import Counter
from random import Random

from processors.batch import Signal
from tests.fuzz import doors
from tests.fuzz.journal import Journal
from tests.fuzz.target import Found, Target
from tests.wire.receivers_door import RecordingSink


def crashes(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Ends the process without a word, as a fault in C does."""
    journal.begin(b"fine")
    journal.begin(b"deadly")
    os._exit(139)


def hangs(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Never comes back."""
    journal.begin(b"endless")
    while True:
        time.sleep(1)


def finds(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Finds something."""
    raise Found("planted", b"this one")


class Forgetful(RecordingSink):
    """A sink that says of every tenth request that it is stored, and has not stored it."""

    async def accept(self, signal: Signal, tenant: str, body: bytes) -> None:
        """See `Sink`."""
        self.waiting += 1
        if self.waiting % 10:
            self.accepted.append((signal, tenant, body))


class Cutting(RecordingSink):
    """A sink that keeps an empty request of every tenth."""

    async def accept(self, signal: Signal, tenant: str, body: bytes) -> None:
        """See `Sink`."""
        self.waiting += 1
        self.accepted.append((signal, tenant, body if self.waiting % 10 else b""))


def forgets(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Acknowledges what is not stored."""
    return doors.http(random, count, journal, Forgetful())


def cuts(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Acknowledges more than is stored."""
    return doors.http(random, count, journal, Cutting())


PLANTED: dict[str, Target] = {"crashes": crashes, "hangs": hangs, "finds": finds, "forgets": forgets, "cuts": cuts}
