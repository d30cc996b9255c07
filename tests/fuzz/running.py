"""`python -m tests.fuzz`: every target in processes of its own, watched from outside."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import structlog

from tests.fuzz import decoding, doors, statements
from tests.fuzz.journal import Journal
from tests.fuzz.planted import PLANTED
from tests.fuzz.seeds import CORPUS
from tests.fuzz.target import Found, Target

#: What is run, what it is counted as, and which share of that count it gets.
TARGETS: dict[str, tuple[Target, str, float]] = {
    "decode": (decoding.decode, "inputs", 0.8),
    "json": (decoding.json_decode, "inputs", 0.2),
    "http": (doors.http, "requests", 0.64),
    "grpc": (doors.grpc_calls, "requests", 0.3),
    "clickhouse": (statements.statements, "requests", 0.06),
}
PATIENCE = 60.0  # seconds one input may take (with what is done for its batch) before it counts as a hang
PORTION = 200_000  # inputs one process takes: another seed, an engine and doors of its own
_LOOK = 0.5


@dataclass
class Task:
    """One process of a target."""

    target: str
    count: int
    seed: str
    process: multiprocessing.process.BaseProcess | None = None
    reader: Connection | None = None
    journal: Journal | None = None
    begun: int = -1
    moved: float = field(default_factory=time.monotonic)


def tasks(inputs: int, requests: int, seed: int) -> list[Task]:
    """What there is to do, in portions."""
    made = []
    for name, (_, counted, share) in TARGETS.items():
        left, portion = round((inputs if counted == "inputs" else requests) * share), 0
        while left > 0:
            made.append(Task(name, min(left, PORTION), f"{seed}:{name}:{portion}"))
            left, portion = left - PORTION, portion + 1
    return sorted(made, key=lambda task: task.target != "clickhouse")  # the slowest first


def run(
    waiting: Sequence[Task], jobs: int, save: Path, patience: float = PATIENCE
) -> tuple[dict[str, Counter[str]], str]:
    """Counts by target, and why it ended early (empty: it did not)."""
    context = multiprocessing.get_context("spawn")
    left, working = list(waiting), list[Task]()
    totals: dict[str, Counter[str]] = {}
    failure = ""
    with TemporaryDirectory() as directory:
        try:
            while (left or working) and not failure:
                while left and len(working) < jobs:
                    task = left.pop(0)
                    path = Path(directory, task.seed.replace(":", "-"))
                    task.journal = Journal(path, create=True)
                    task.reader, writer = context.Pipe(duplex=False)
                    task.process = context.Process(
                        target=_work, args=(task.target, task.count, task.seed, path, writer)
                    )
                    task.process.start()
                    writer.close()
                    task.moved = time.monotonic()
                    working.append(task)
                time.sleep(_LOOK if len(left) + len(working) else 0)
                for task in list(working):
                    done, failure = _looked(task, totals, save, patience)
                    if done:
                        working.remove(task)
                    if failure:
                        break
        finally:
            for task in working:
                assert task.process is not None
                task.process.kill()
                task.process.join()
    return totals, failure


def _looked(task: Task, totals: dict[str, Counter[str]], save: Path, patience: float) -> tuple[bool, str]:
    """Whether the process is done, and what went wrong."""
    assert task.process is not None and task.reader is not None and task.journal is not None
    if task.reader.poll():
        try:
            happened, found, trace = task.reader.recv()
        except EOFError:
            happened, found, trace = None, None, ""
        task.process.join()
        if happened is not None:
            totals.setdefault(task.target, Counter()).update(happened)
            return True, ""
        if found is not None:
            return True, f"{task.seed}: {found.why}\n{trace}input: {_saved(task.target, [found.item], save)}"
        inputs = _saved(task.target, task.journal.under_way(), save)
        return True, f"{task.seed}: the process died ({task.process.exitcode}) {trace}\ninputs: {inputs}"
    if task.journal.begun != task.begun:
        task.begun, task.moved = task.journal.begun, time.monotonic()
    elif time.monotonic() - task.moved > patience:
        return False, f"{task.seed}: hangs\ninputs: {_saved(task.target, task.journal.under_way(), save)}"
    return False, ""


def _saved(target: str, items: Sequence[bytes], save: Path) -> str:
    """Write the inputs (the last one is the likeliest culprit); where they are."""
    save.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(items):
        (save / f"{target}-{number:03}.bin").write_bytes(item)
    return f"{save}/{target}-000.bin" + (f" to -{len(items) - 1:03}.bin" if len(items) > 1 else "")


def _work(name: str, count: int, seed: str, path: Path, writer: Connection) -> None:
    """In the process of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        happened = {**{each: target for each, (target, _, _) in TARGETS.items()}, **PLANTED}[name](
            Random(seed), count, Journal(path)
        )
    except Found as found:
        writer.send((None, found, traceback.format_exc()))
    except Exception:
        writer.send((None, None, traceback.format_exc()))
    else:
        writer.send((happened, None, ""))


def report(totals: dict[str, Counter[str]]) -> Iterator[str]:
    """A line of counts for each target, then the two totals."""
    for name, happened in totals.items():
        said = ", ".join(f"{what} {many}" for what, many in sorted(happened.items()))
        yield f"{name:>10}  {said}"
    inputs, requests = (sum(happened[what] for happened in totals.values()) for what in ("inputs", "requests"))
    yield f"     total  decode inputs {inputs}, door requests {requests}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=2_000_000, help="for the decode path, protobuf and JSON")
    parser.add_argument("--requests", type=int, default=200_000, help="to the doors: HTTP, gRPC, ClickHouse")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one")
    asked = parser.parse_args()
    os.environ["GRPC_VERBOSITY"] = "NONE"  # gRPC's core has a word to say about each damaged frame
    wanted = [
        task
        for task in tasks(asked.inputs, asked.requests, asked.seed)
        if not asked.target or task.target in asked.target
    ]
    began = time.monotonic()
    totals, failure = run(wanted, asked.jobs, CORPUS / "failures")
    for line in report(totals):
        print(line)
    print(f"seed {asked.seed}, {asked.jobs} processes, {time.monotonic() - began:.0f} s: {failure or 'nothing found'}")
    return 1 if failure else 0
