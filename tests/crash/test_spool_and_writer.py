"""kill -9 while a client sends and resends: what was acknowledged is stored exactly once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_exporter.failpoints import POINTS
from tests.crash.harness import Books, Death, in_parallel, torment, verdict
from tests.crash.processes import ChildService

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(900)]
SEED = 20261121


def at_points(times: range) -> list[Death]:
    """Every named point, each at its n-th reaching."""
    return [Death(point=f"{point}:{n}") for n in times for point in POINTS]


def at_moments(count: int, shortest: float, longest: float) -> list[Death]:
    """Random moments, in seconds after the process is ready."""
    rng = random.Random(SEED)
    return [Death(after=rng.uniform(shortest, longest)) for _ in range(count)]


def scenarios(directory: Path, times: int, moments: int, views: int) -> Iterator[Callable[[], Books]]:
    """Houses to torment: each gives its books when nothing in it is wrong."""
    yield lambda: run(ChildService(directory / "points"), at_points(range(1, 2)))
    yield lambda: run(ChildService(directory / "later points"), at_points(range(2, times + 1)))
    yield lambda: run(ChildService(directory / "moments"), at_moments(moments, 0.02, 0.6))
    yield lambda: run(ChildService(directory / "in views", slow_view=True), at_moments(views, 0.4, 1.4))


def run(service: ChildService, deaths: list[Death]) -> Books:
    """Torment one house and require that nothing is wrong."""
    books, stored = torment(service, deaths, SEED)
    assert verdict(books, stored) == []
    assert books.acknowledged and books.resent, "nothing was sent, so nothing was proved"
    return books


@pytest.mark.parametrize(
    ("times", "moments", "views"), [(2, 5, 6), pytest.param(3, 17, 10, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_every_acknowledged_span_survives_kill_9_exactly_once(
    tmp_path: Path, times: int, moments: int, views: int
) -> None:
    """Killed at every named point, twice, and at random moments while a client sends and resends, everything agrees:
    table, view, ledger. At length (54 kills): `make kills`.
    """
    books = in_parallel(list(scenarios(tmp_path, times, moments, views)))
    assert sum(book.deaths for book in books) == times * len(POINTS) + moments + views
    assert sum(book.torn for book in books) > 0, "no kill landed between a base table and its view's target"
