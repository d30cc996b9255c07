"""What the dialects say of real LiteLLM exports, compared with what really happened."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from processors.batch import Signal
from processors.contract import Role
from processors.identify import with_keys
from processors.normalise import Normalise
from processors.post import join
from tests.corpus.cases import Case, cases, differences

LITELLM = list(cases("litellm"))
OTHERS = sorted({case.producer for case in cases()} - {case.producer for case in LITELLM})


@pytest.mark.parametrize("case", LITELLM, ids=str)
def test_call_observations_are_the_calls(case: Case) -> None:
    """One observation a call, best source first, says the true tokens, model, outcome and attribution of every call."""
    calls = with_keys(case.observations()).filter(pl.col("role") == Role.CALL.value)
    assert differences(case.calls, _deduplicated(calls)) == []


@pytest.mark.parametrize("case", LITELLM, ids=str)
def test_joined_calls_are_the_calls(case: Case) -> None:
    """The ledger's join of a whole export is the list of calls that were really made, each once."""
    assert differences(case.calls, join(with_keys(case.observations()))) == []


@pytest.mark.parametrize("case", [case for case in LITELLM if case.truth.get("rejected_requests")], ids=str)
def test_refused_requests_are_no_calls(case: Case) -> None:
    """A request the gateway refused is one refusal with its model and status, and no call."""
    refusals = case.observations().filter(pl.col("role") == Role.REFUSAL.value)
    said = refusals.select("requested_model", pl.col("error_code").cast(pl.Int64)).to_dicts()
    rejected = case.truth["rejected_requests"]
    assert said == [{name: request[name] for name in ("requested_model", "error_code")} for request in rejected]


@pytest.mark.parametrize("case", LITELLM, ids=str)
def test_names_do_not_matter(case: Case) -> None:
    """Spans and scopes may be called anything: attributes alone tell what is a call and what it says.

    But for one thing: which library OpenInference instrumented is only in its scope, and part of the source's name.
    """
    producer = pl.col("source").str.replace(r"^openinference\..*$", "openinference")
    for batch in case.batches():
        renamed = batch.with_frames(
            records=batch.records.with_columns(pl.lit("x").alias("name" if batch.signal is Signal.TRACES else "body")),
            scopes=batch.scopes.with_columns(name=pl.lit("y")),
        )
        said, again = (
            observations.drop("rank_timing").with_columns(source=producer)
            for observations in (batch.observations, Normalise()(renamed).observations)
        )
        assert_frame_equal(again, said)


@pytest.mark.parametrize("producer", OTHERS)
def test_other_producers_are_not_litellm(producer: str) -> None:
    """LiteLLM's dialects leave the spans of every other library alone."""
    sources = {source for case in cases(producer) for source in case.observations()["source"]}
    assert not {source for source in sources if source.startswith("litellm")}


def test_cache_key_means_a_cache_hit() -> None:
    """Over all exports, exactly the calls served from LiteLLM's cache are marked as hits: `cache_key` is their sign."""
    hits = sum(call["served_from_gateway_cache"] for case in LITELLM for call in case.calls)
    marked = sum(case.observations().filter("cache_hit")["call_id"].n_unique() for case in LITELLM)
    assert marked == hits > 0


def _deduplicated(calls: pl.DataFrame) -> pl.DataFrame:
    """The best observation of what a plain reader would take as one call: the same id, or a raw span and its parent."""
    named = calls.with_columns(call=pl.col("keys").list.first())
    parents = named.filter(pl.col("source") != "litellm.raw").select(
        "trace_id", pl.col("span_id").alias("parent_span_id"), pl.col("call").alias("of_parent")
    )
    raw_without_id = (pl.col("source") == "litellm.raw") & pl.col("response_id").is_null()
    owned = named.join(parents, on=["trace_id", "parent_span_id"], how="left").with_columns(
        call=pl.when(raw_without_id).then(pl.coalesce("of_parent", "call")).otherwise("call")
    )
    return owned.sort("rank_identity").unique("call", keep="first", maintain_order=True)
