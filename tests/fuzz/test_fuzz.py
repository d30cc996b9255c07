"""The fuzzer, in short; what it has kept; and that it finds what is planted. At length: `make fuzz`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from clickhouse_schema.store import Store
from processors.batch import Signal
from processors.chain import build
from tests.fuzz.decoding import batch_of, take, take_json
from tests.fuzz.doors import ANSWERS, STATUS
from tests.fuzz.running import TARGETS, Task, report, run, tasks
from tests.fuzz.seeds import CORPUS, json_seeds, kept, seeds
from tests.wire.receivers_door import door, on_loop

_INPUTS, _REQUESTS = 10_000, 3_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A chDB of this module."""
    with Store.embedded(tmp_path_factory.mktemp("fuzz")) as store:
        yield store


@pytest.mark.slow
def test_nothing_is_found_in_a_short_time(tmp_path: Path) -> None:
    """Every target keeps its promises for some thousand inputs, all of which were really tried."""
    totals, failure = run(tasks(_INPUTS, _REQUESTS, seed=20), 2, tmp_path)
    assert failure == ""
    assert set(totals) == set(TARGETS)
    assert list(report(totals))[-1].endswith(f"decode inputs {_INPUTS}, door requests {_REQUESTS}")
    assert min(totals["decode"][said] for said in ("accepted", "refused", "both_routes", "chained")) > 0
    assert min(totals["http"][said] for said in ("answered_200", "answered_400", "garbage")) > 0
    assert min(totals["clickhouse"][said] for said in ("read", "refused")) > 0


@pytest.mark.parametrize(
    ("planted", "said", "saved"),
    [
        ("finds", "planted", b"this one"),
        ("crashes", "the process died (139)", b"deadly"),
        ("hangs", "hangs", b"endless"),
        ("forgets", "acknowledged, and stored 0 times", b"POST /v1/"),
        ("cuts", "acknowledged, and something else stored", b"POST /v1/"),
    ],
)
def test_what_is_planted_is_found(planted: str, said: str, saved: bytes, tmp_path: Path) -> None:
    """A crash, a hang, a broken promise and a wrong acknowledgement end the run and leave the input as a file."""
    totals, failure = run([Task(planted, 2_000, "1")], 1, tmp_path, patience=6 if planted == "hangs" else 60)
    assert (totals, said in failure) == ({}, True), failure
    assert any(path.read_bytes().startswith(saved) for path in tmp_path.glob(f"{planted}-*.bin"))


@pytest.mark.parametrize("signal", Signal)
def test_what_was_kept_is_read_the_same_by_both_routes(signal: Signal, store: Store) -> None:
    """Every kept input, protobuf or JSON, is refused, or counted, decoded by both routes and processed alike."""
    read = [take(signal, body, Random(1)) for body in seeds(signal)]
    read += [take_json(signal, body, Random(1)) for body in (*json_seeds(signal), *kept(f"json-{signal}"))]
    taken = [found for found in read if found]
    assert len(taken) > 5
    batch_of(signal, [body for body, _ in taken], sum(records for _, records in taken), store, build())


@on_loop
async def test_what_was_kept_of_http_ends_in_an_answer() -> None:
    """Every kept damaged connection is answered as OTLP answers, or closed."""
    async with door() as house:
        for data in kept("http"):
            answer = await house.raw(data, half_close=True)
            assert {int(status) for status in STATUS.findall(answer)} <= ANSWERS | {100}


def test_the_corpus_is_small() -> None:
    """What is kept stays below a megabyte, and failures are not kept by accident."""
    assert (
        sum(path.stat().st_size for path in CORPUS.rglob("*") if "failures" not in path.parts and path.is_file())
        < 1 << 20
    )
