"""What a target of fuzzing is, and what a failure is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.fuzz.journal import Journal

#: Runs a target: the random source, how many inputs, where to note them. Returns counts of what happened.
Target = Callable[[Random, int, Journal], Counter[str]]


class Found(Exception):
    """An input that breaks a promise."""

    def __init__(self, why: str, item: bytes) -> None:
        super().__init__(why)
        self.why = why
        self.item = item

    def __reduce__(self) -> tuple[type[Found], tuple[str, bytes]]:
        return Found, (self.why, self.item)


class Pool:
    """Inputs to start from: seeds, and mutated ones that were still accepted, so that mutations pile up."""

    _MOST = 1_000

    def __init__(
        self, random: Random, seeds: tuple[bytes, ...], mutate: Callable[[Random, bytes, bytes], bytes]
    ) -> None:
        self._random = random
        self._seeds = seeds
        self._grown: list[bytes] = []
        self._mutate = mutate

    def pick(self) -> bytes:
        """One of them."""
        grown = self._grown and self._random.random() < 0.5
        return self._random.choice(self._grown if grown else self._seeds)

    def next(self) -> bytes:
        """A mutated one; now and then one as it is."""
        body = self.pick()
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            body = self._mutate(self._random, body, self.pick())
        return body

    def accepted(self, body: bytes) -> None:
        """This one was taken by what is tested; one in ten is remembered."""
        if len(body) > 6_000 or self._random.random() > 0.1:
            return
        if len(self._grown) < self._MOST:
            self._grown.append(body)
        else:
            self._grown[self._random.randrange(self._MOST)] = body
