"""The decode path: the census, `validate`, both routes to columns, the processors, the rows of the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl

from clickhouse_schema.store import Store
from otel_exporter.decode import ArrowEngine, canonical, columnar, is_crowded, validate, walk
from otel_exporter.decode.door import PATH, parse, points
from otel_exporter.failures import Reason, Refused
from otel_exporter.otlp_json import to_protobuf
from processors.batch import Batch, Signal
from processors.chain import Choices, build, run
from processors.content import ContentPolicy
from processors.land import land
from processors.redact import Identity
from tests.fuzz import text, wire
from tests.fuzz.journal import Journal
from tests.fuzz.seeds import json_inputs, seeds
from tests.fuzz.target import Found, Pool

_BATCH = 128  # inputs decoded together, as requests are in the service
_CHAIN_EVERY = 16  # batches
_MOST_RECORDS = 1_000
_KEY = b"a key of at least sixteen bytes"
_CHAINS = tuple(
    build(choices=Choices(policy, identity=identity, key=_KEY)) for policy in ContentPolicy for identity in Identity
)
_LANDED = {Signal.TRACES: ("otel_traces",), Signal.LOGS: ("otel_logs",)}


def decode(random: Random, count: int, journal: Journal) -> Counter[str]:
    """Protobuf of every signal."""
    with TemporaryDirectory() as directory, Store.embedded(Path(directory)) as store:
        return _decoded(random, count, journal, store, json=False)


def json_decode(random: Random, count: int, journal: Journal) -> Counter[str]:
    """JSON of every signal, made protobuf."""
    with TemporaryDirectory() as directory, Store.embedded(Path(directory)) as store:
        return _decoded(random, count, journal, store, json=True)


def _decoded(random: Random, count: int, journal: Journal, engine: ArrowEngine, *, json: bool) -> Counter[str]:
    made, mutate = (json_inputs, text_or_bytes) if json else (seeds, wire.mutated)
    pools = {signal: Pool(random, made(signal), mutate) for signal in Signal}
    look = take_json if json else take
    happened: Counter[str] = Counter()
    for number in range(0, count, _BATCH):
        signal = random.choice((Signal.TRACES, Signal.TRACES, Signal.LOGS, Signal.METRICS))
        pool, taken, records = pools[signal], [], 0
        journal.batch()
        for _ in range(min(_BATCH, count - number)):
            item = pool.next()
            journal.begin(item)
            happened["inputs"] += 1
            read = _promised(item, partial(look, signal, item, random))
            if read is None:
                happened["refused"] += 1
                continue
            pool.accepted(item)
            taken.append(read[0])
            records += read[1]
        happened["accepted"] += len(taken)
        happened["records"] += records
        chain = random.choice(_CHAINS) if number // _BATCH % _CHAIN_EVERY == 0 else None
        happened += batch_of(signal, taken, records, engine, chain)
    return happened


def text_or_bytes(random: Random, body: bytes, other: bytes) -> bytes:
    """A mutation of JSON, mostly among its tokens."""
    return (wire.scrambled if random.random() < 0.15 else text.mutated)(random, body, other)


def _promised(item: bytes, look: Callable[[], tuple[bytes, int] | None]) -> tuple[bytes, int] | None:
    try:
        return look()
    except Found:
        raise
    except Exception as error:
        raise Found(f"{type(error).__name__}: {error}", item) from error


def take(signal: Signal, body: bytes, random: Random) -> tuple[bytes, int] | None:
    """What the door does with protobuf: the request it keeps and its records, or None when it is refused."""
    bound = random.randrange(1, 6)
    crowded = is_crowded(signal, body, bound)
    if is_crowded(signal, body, _MOST_RECORDS):
        return None
    try:
        read, records = canonical(signal, body)
    except Refused as refused:
        if refused.reason is not Reason.MALFORMED:
            raise Found(f"refused as {refused.reason}", body) from None
        return None
    if not crowded and (most := max(_counts(signal, body))) > bound:
        raise Found(f"the census sees no more than {bound}, the parser {most}", body)
    return read, records


def take_json(signal: Signal, body: bytes, random: Random) -> tuple[bytes, int] | None:
    """What the door does with JSON."""
    try:
        made = to_protobuf(signal, body, _MOST_RECORDS)
    except Refused as refused:
        if refused.reason not in (Reason.MALFORMED, Reason.TOO_LARGE):
            raise Found(f"refused as {refused.reason}", body) from None
        return None
    return take(signal, made, random)


def _counts(signal: Signal, body: bytes) -> list[int]:
    """Resources, scopes, records and points, as the parser sees them."""
    level: Sequence[object] = [parse(signal, body)]
    found = []
    for name in PATH[signal]:
        level = [item for each in level for item in getattr(each, name)]
        found.append(len(level))
    if signal is Signal.METRICS:
        found.append(sum(len(points(metric)) for metric in level))  # type: ignore[arg-type]
    return found


def batch_of(
    signal: Signal,
    bodies: list[bytes],
    records: int,
    engine: ArrowEngine,
    chain: Sequence[Callable[[Batch], Batch]] | None,
) -> Counter[str]:
    """Decode accepted bodies together; the one that breaks a promise is looked for alone."""
    try:
        return _checked(signal, bodies, records, engine, chain)
    except Exception as error:
        for body in bodies:
            try:
                _checked(signal, [body], validate(signal, body), engine, chain)
            except Exception as again:
                raise Found(f"{signal}: {type(again).__name__}: {again}", body) from again
        raise Found(f"{signal}: only together: {type(error).__name__}: {error}", b"".join(bodies)) from error


def _checked(
    signal: Signal,
    bodies: list[bytes],
    records: int,
    engine: ArrowEngine,
    chain: Sequence[Callable[[Batch], Batch]] | None,
) -> Counter[str]:
    walked = walk(signal, bodies, "t")
    if walked.records.height != records:
        raise AssertionError(f"{walked.records.height} rows of {records} records")
    happened = Counter(batches=1)
    if signal is not Signal.METRICS:
        happened += _columns(signal, bodies, engine, walked)
    if chain is not None:
        happened["chained"] += len(bodies)
        tables = land(run(chain, walked))
        landed = sum(tables[name].height for name in _LANDED.get(signal, ()) if name in tables)
        if signal in _LANDED and landed != records:
            raise AssertionError(f"{landed} rows landed of {records} records")
    return happened


def _columns(signal: Signal, bodies: list[bytes], engine: ArrowEngine, walked: Batch) -> Counter[str]:
    """The other route gives the same. It may never have to leave a request to the walker."""
    batch = columnar.decode(engine, signal, bodies, "t")
    for field in fields(Batch):
        mine, theirs = getattr(batch, field.name), getattr(walked, field.name)
        if isinstance(mine, pl.DataFrame) and not mine.equals(theirs, null_equal=True):
            raise AssertionError(f"the two routes differ in {field.name}")
    return Counter(both_routes=1)
