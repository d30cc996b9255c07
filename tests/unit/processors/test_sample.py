"""Sampling: whole traces by their id, never a span of GenAI; what hangs on a span goes and stays with it."""

from __future__ import annotations

import secrets

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.batch import EVENTS, LINKS, RECORDS, Batch, Signal
from processors.chain import Choices, build, run
from processors.normalise import Normalise
from processors.sample import Sample
from tests.unit.processors.planting import Attribute, attribute, batch_with, frame

CHAT = (attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.request.model", "gpt-4o"))
ids = st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex), min_size=1, max_size=20)


def spans(traces: list[str], *attributes: Attribute, scope: str = "http") -> Batch:
    """A span for each trace id, with an event and a link that carry its number."""
    rows = [(n, 0, 0, trace, f"{n:016x}", "", "", f"n{n}", 1, 1, 2, 2, "", 0) for n, trace in enumerate(traces)]
    numbered = [
        attribute("number", str(n), level=level, owner=n)
        for n in range(len(traces))
        for level in ("record", "event", "link")
    ]
    return batch_with(*attributes, *numbered, scope=scope).with_frames(
        records=frame(rows, RECORDS[Signal.TRACES]),
        events=frame([(n, n, 1, f"e{n}") for n in range(len(traces))], EVENTS),
        links=frame([(n, n, traces[n], "ab" * 8, "") for n in range(len(traces))], LINKS),
    )


def left(batch: Batch) -> set[str]:
    return set(batch.records["name"])


@given(ids, st.floats(0, 1), st.floats(0, 1))
def test_traces_are_whole_and_shares_nest(traces: list[str], one: float, other: float) -> None:
    """All spans of a trace meet one fate, in one batch or apart, and what a small share keeps a larger keeps too."""
    small, large = sorted((one, other))
    batch = spans(traces * 2)
    kept = Sample(small)(batch).records["trace_id"]
    assert all(kept.to_list().count(trace) % 2 == 0 for trace in traces)
    assert set(kept) <= set(Sample(large)(batch).records["trace_id"])
    assert {t for t in traces for _ in Sample(small)(spans([t])).records["trace_id"]} == set(kept)


def test_the_share_is_the_share() -> None:
    """Of ten thousand random traces a tenth is kept by a share of 0.1 (binomial: within five standard deviations)."""
    traces = [secrets.token_hex(16) for _ in range(10_000)]
    assert abs(Sample(0.1)(spans(traces)).records.height - 1000) < 150
    assert Sample(1.0)(spans(traces)).records.height == 10_000
    assert Sample(0.0)(spans(traces)).records.height == 0


@given(ids, st.floats(0, 1))
def test_what_hangs_on_a_span_goes_with_it(traces: list[str], share: float) -> None:
    """Events, links and attributes of the spans that stay still point to them; those of the others are gone."""
    after = Sample(share)(spans(traces))
    assert after.records["record"].to_list() == list(range(after.records.height))
    for level, rows in (("record", after.records), ("event", after.events), ("link", after.links)):
        own = after.attributes.filter(pl.col("level") == level)
        assert sorted(own["owner"]) == list(range(after.records.height)) == sorted(rows[level])
        for owner, number in own.select("owner", "value").iter_rows():
            assert after.records["name"][rows["record"][owner]] == f"n{number}"


@pytest.mark.parametrize(
    ("marks", "scope"),
    [
        ((attribute("gen_ai.request.model", "gpt-4o"),), "http"),
        ((attribute("gen_ai.prompt", "hi", level="event"),), "http"),
        ((), "openinference.instrumentation.openai"),
    ],
)
def test_spans_of_genai_stay(marks: tuple[Attribute, ...], scope: str) -> None:
    """With a share of nothing, a span with an attribute, an event or a scope of GenAI stays, alone."""
    after = Sample(0.0)(spans(["ab" * 16, "cd" * 16], *marks, scope=scope))
    assert left(after) == ({"n0"} if marks else {"n0", "n1"})


def test_a_call_stays_whoever_knows_it() -> None:
    """A span that is an observation stays, whatever it is called: only a user's dialect may know it."""
    batch = Normalise()(spans(["ab" * 16, "cd" * 16], *CHAT))
    nameless = batch.with_frames(attributes=batch.attributes.filter(pl.col("key") == "number"))
    assert batch.observations.height == 1
    assert left(Sample(0.0)(nameless)) == {"n0"}


def test_other_signals_stay() -> None:
    """Log records and metric points are not sampled."""
    for signal in (Signal.LOGS, Signal.METRICS):
        batch = batch_with(signal=signal, records=3)
        assert Sample(0.0)(batch) is batch


def test_the_ledger_is_the_same() -> None:
    """Observations are what they are with every share, and with every list of attributes."""
    batch = spans(["ab" * 16, "cd" * 16], *CHAT)
    whole = run(build(), batch).observations
    assert whole.height == 1
    for choices in (Choices(share=0.0), Choices(deny=("*",)), Choices(allow=("nothing",))):
        assert run(build(choices=choices), batch).observations.equals(whole)


def test_a_share_beyond_one_is_refused() -> None:
    """A share is between nothing and everything."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Sample(1.1)


def test_lists_choose_names() -> None:
    """Denied names go even where they are allowed; of an allow list the service's name is always part."""
    batch = batch_with(
        attribute("service.name", "a", level="resource"), *(attribute(key, "x") for key in ("a.b", "a.c", "b"))
    )
    for choices, keys in (
        (Choices(), {"service.name", "a.b", "a.c", "b"}),
        (Choices(allow=("a.*",), deny=("*.c",)), {"service.name", "a.b"}),
        (Choices(deny=("?",)), {"service.name", "a.b", "a.c"}),
        (Choices(deny=("service.*", "a")), {"a.b", "a.c", "b"}),
    ):
        assert set(run(build(choices=choices), batch).attributes["key"]) == keys
