"""The laws of processors (`processors.chain.Processor`), for every registered one under every choice."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import processors
from processors.batch import ATTRIBUTES, SCOPES, Batch, Signal, concat, empty
from processors.chain import REGISTERED, Choices, Processor
from processors.content import ContentPolicy
from processors.content_by_caller import CallerPolicy
from processors.redact import Identity
from tests.laws.batches import batches

FRAMES: Final = ("resources", "scopes", "records", "events", "links", "exemplars", "attributes", "observations")
KEY: Final = b"a key of at least sixteen bytes"
CALLERS: Final = (
    CallerPolicy(ContentPolicy.KEEP, team="*a*"),
    CallerPolicy(ContentPolicy.REDACT, application="?*"),
    CallerPolicy(ContentPolicy.HASH, team=""),
)
_CHOICES: Final = {
    "content": [
        *(Choices(policy=policy, key=KEY) for policy in ContentPolicy),
        *(Choices(policy=policy, callers=CALLERS, key=KEY) for policy in (ContentPolicy.DROP, ContentPolicy.HASH)),
    ],
    "sample": [Choices(share=share) for share in (1.0, 0.5, 0.0)],
    "attributes": [Choices(), Choices(allow=("gen_ai.*", "n?te")), Choices(deny=("*message*", ""))],
    "redact": [Choices(identity=identity, key=KEY) for identity in Identity],
}
CASES: Final = {
    f"{name}-{number}": (make, choices)
    for name, make in REGISTERED.items()
    for number, choices in enumerate(_CHOICES.get(name, [Choices()]))
}
every_processor = pytest.mark.parametrize("case", CASES)
every_signal = pytest.mark.parametrize("signal", list(Signal))
few = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)


def made(case: str) -> Processor:
    """A new processor."""
    make, choices = CASES[case]
    return make(choices)


def same(left: Batch, right: Batch) -> bool:
    """Whether two batches hold the same rows in the same order."""
    return all(getattr(left, frame).equals(getattr(right, frame)) for frame in FRAMES)


@every_processor
def test_declared(case: str) -> None:
    """It says which columns it reads and writes."""
    processor = made(case)
    assert isinstance(processor, Processor)
    assert processor.reads
    assert processor.writes


def obeys_idempotence(processor: Processor, batch: Batch) -> None:
    """What it has done it does not do again."""
    once = processor(batch)
    assert same(processor(once), once)


def obeys_blindness(processor: Processor, left: Batch, right: Batch) -> None:
    """No row depends on its neighbours."""
    assert same(processor(concat([left, right])), concat([processor(left), processor(right)]))


def obeys_writes(processor: Processor, batch: Batch) -> None:
    """Nothing differs afterwards but the columns it writes; rows come and go only where it writes the whole frame."""
    after = processor(batch)
    for frame in FRAMES:
        if f"{frame}.*" not in processor.writes:
            rows: pl.DataFrame = getattr(batch, frame)
            untouched = [name for name in rows.columns if f"{frame}.{name}" not in processor.writes]
            assert getattr(after, frame).select(untouched).equals(rows.select(untouched)), frame
            assert getattr(after, frame).height == rows.height


def obeys_reads(processor: Processor, batch: Batch) -> None:
    """What it writes depends on nothing but the columns it reads: the others may be blank."""
    blank = batch.with_frames(**{frame: _blanked(getattr(batch, frame), frame, processor.reads) for frame in FRAMES})
    seen, unseen = processor(batch), processor(blank)
    for frame, name in (column.split(".") for column in processor.writes):
        rows, others = getattr(seen, frame), getattr(unseen, frame)
        read = [n for n in rows.columns if {f"{frame}.*", f"{frame}.{n}"} & processor.reads]
        compared = read if name == "*" else [n for n in read if n == name]
        assert rows.select(compared).equals(others.select(compared)), f"{frame}.{name}"


def _blanked(rows: pl.DataFrame, frame: str, reads: frozenset[str]) -> pl.DataFrame:
    unread = [name for name in rows.columns if not {f"{frame}.*", f"{frame}.{name}"} & reads]
    return rows.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in unread)


def obeys_purity(make: Callable[[], Processor], batch: Batch, other: Batch) -> None:
    """The batch it is given stays as it was, and what it has seen before makes no difference."""
    copy = batch.with_frames(**{frame: getattr(batch, frame).clone() for frame in FRAMES})
    used = make()
    used(other)
    assert same(used(batch), make()(batch))
    assert same(batch, copy)


@every_signal
@every_processor
@few
@given(st.data())
def test_every_law(case: str, signal: Signal, data: st.DataObject) -> None:
    """No batch makes it raise, and it obeys: idempotence (what it has done it does not do again), blindness (two
    batches joined become what they become alone), honesty (it changes nothing but what it says it writes, and depends
    on nothing but what it says it reads) and purity (it leaves its batch alone, and remembers no other).
    """
    batch, other = data.draw(batches(signal)), data.draw(batches(signal))
    obeys_idempotence(made(case), batch)
    obeys_blindness(made(case), batch, other)
    obeys_writes(made(case), batch)
    obeys_reads(made(case), batch)
    obeys_purity(lambda: made(case), batch, other)


IMPURE: Final = frozenset({"open", "input", "print", "exec", "eval", "globals"})


@pytest.mark.parametrize(
    "path", sorted(Path(inspect.getfile(processors)).parent.rglob("*.py")), ids=lambda path: path.stem
)
def test_no_way_out(path: Path) -> None:
    """No module of the core opens, prints or changes anything global."""
    tree = ast.parse(path.read_text())
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & IMPURE
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]


class _Broken:
    """A processor that breaks a law."""

    reads = frozenset({"attributes.*"})
    writes = frozenset({"attributes.value"})

    def __init__(self, change: pl.Expr | None = None) -> None:
        self._change = change
        self._seen = 0

    def __call__(self, batch: Batch) -> Batch:
        self._seen += 1
        scopes = pl.lit(",".join(batch.scopes["version"].drop_nulls()))
        change = pl.lit(str(self._seen)).alias("value") if self._change is None else self._change
        return batch.with_frames(
            attributes=batch.attributes.with_columns(scopes.alias("@scopes")).with_columns(change).drop("@scopes")
        )


def _sample() -> Batch:
    scopes = pl.DataFrame([(0, 0, "s", "1.0", "")], schema=SCOPES, orient="row")
    rows = [("resource", 0, "a", "string", "text"), ("resource", 0, "b", "string", "text")]
    return empty(Signal.TRACES, "t").with_frames(
        scopes=scopes, attributes=pl.DataFrame(rows, schema=ATTRIBUTES, orient="row")
    )


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (pl.col("value") + "x", lambda make: obeys_idempotence(make(), _sample())),
        (pl.col("value").cast(pl.Int64).cast(pl.String), lambda make: obeys_idempotence(make(), _sample())),
        (pl.len().cast(pl.String).alias("value"), lambda make: obeys_blindness(make(), _sample(), _sample())),
        (pl.lit("k").alias("key"), lambda make: obeys_writes(make(), _sample())),
        (pl.col("@scopes").alias("value"), lambda make: obeys_reads(make(), _sample())),
        (None, lambda make: obeys_purity(make, _sample(), _sample())),
    ],
    ids=["grows", "raises", "counts", "renames", "peeks", "remembers"],
)
def test_laws_bite(change: pl.Expr | None, law: Callable[[Callable[[], Processor]], None]) -> None:
    """A processor that breaks a law is caught by it."""
    with pytest.raises((AssertionError, pl.exceptions.PolarsError)):
        law(lambda: _Broken(change))
