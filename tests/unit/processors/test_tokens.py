"""Token conventions: inclusive counts whatever was meant, and unknown is not zero."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.contract import OBSERVATION_SCHEMA
from processors.tokens import settle_tokens

TOKENS = st.integers(0, 10**6)


def settled(claimed: bool | None = True, **said: Any) -> dict[str, Any]:
    """One observation of a successful chat call, settled."""
    row = {"status": "ok", "role": "call", "operation": "chat", "issues": [], **said}
    schema = {**OBSERVATION_SCHEMA, "@input_includes_cached": pl.Boolean}
    return settle_tokens(pl.DataFrame([{**row, "@input_includes_cached": claimed}], schema)).row(0, named=True)


@given(uncached=TOKENS, read=TOKENS, write=TOKENS, output=st.integers(1, 10**6), includes=st.booleans())
def test_input_includes_cached_tokens_whatever_the_emitter_meant(
    uncached: int, read: int, write: int, output: int, includes: bool
) -> None:
    """An emitter that says which convention it follows is settled to the same inclusive input and has no issue."""
    everything = uncached + read + write
    said = {"cache_read_tokens": read, "cache_write_tokens": write, "output_tokens": output}
    row = settled(includes, input_tokens=everything if includes else uncached, total_tokens=everything + output, **said)
    assert row["input_tokens"] == everything
    assert "tokens_disagree" not in row["issues"]


@given(uncached=st.integers(0, 10**6), read=st.integers(1, 10**6), output=st.integers(1, 10**6), includes=st.booleans())
def test_a_total_settles_what_nobody_said(uncached: int, read: int, output: int, includes: bool) -> None:
    """Without a known convention, a total that counts everything tells whether the input includes cached tokens."""
    sent = uncached + read if includes else uncached
    row = settled(
        None, input_tokens=sent, cache_read_tokens=read, output_tokens=output, total_tokens=uncached + read + output
    )
    assert row["input_tokens"] == uncached + read


def test_proof_beats_the_convention() -> None:
    """More cached tokens than input cannot be included in it, and the contradiction is noted."""
    row = settled(True, input_tokens=21, cache_read_tokens=1500, cache_write_tokens=300, output_tokens=14)
    assert row["input_tokens"] == 1821
    assert row["input_includes_cached"] is False
    assert "cache_convention_contradicted" in row["issues"]


@pytest.mark.parametrize(
    ("said", "issues"),
    [
        ({"operation": "chat"}, ["tokens_unknown"]),
        ({"operation": None}, ["tokens_unknown"]),
        ({"operation": "image_generation"}, []),
        ({"operation": "chat", "status": "error"}, []),
        ({"operation": "chat", "role": "support"}, []),
    ],
)
def test_zero_tokens_are_unknown_tokens(said: dict[str, Any], issues: list[str]) -> None:
    """0 in and 0 out is null, and an issue only where an answered question must have had tokens."""
    row = settled(input_tokens=0, output_tokens=0, reasoning_tokens=0, total_tokens=0, **said)
    assert (row["input_tokens"], row["output_tokens"], row["reasoning_tokens"], row["issues"]) == (
        None,
        None,
        None,
        issues,
    )


def test_embeddings_have_no_output() -> None:
    """Zero output beside a real input is a fact, not an unknown."""
    row = settled(input_tokens=8, output_tokens=0, total_tokens=8, operation="embeddings")
    assert (row["input_tokens"], row["output_tokens"], row["issues"]) == (8, 0, [])


@given(
    visible=st.integers(1, 10**6), reasoning=st.integers(1, 10**6), prompt=st.integers(1, 10**6), apart=st.booleans()
)
def test_output_includes_reasoning(visible: int, reasoning: int, prompt: int, apart: bool) -> None:
    """Output includes reasoning even when the emitter counts it apart, as the total shows."""
    row = settled(
        input_tokens=prompt,
        output_tokens=visible if apart else visible + reasoning,
        reasoning_tokens=reasoning,
        total_tokens=prompt + visible + reasoning,
    )
    assert row["output_tokens"] == visible + reasoning


@pytest.mark.parametrize("total", [1835, 35])
def test_a_total_may_leave_cached_tokens_out(total: int) -> None:
    """A total with or without the cached tokens is right either way."""
    row = settled(False, input_tokens=21, cache_read_tokens=1800, output_tokens=14, total_tokens=total)
    assert row["issues"] == []


def test_a_total_that_fits_nothing_is_an_issue() -> None:
    """Input, output and total that cannot all be true are noted and not changed."""
    row = settled(input_tokens=10, output_tokens=5, total_tokens=99)
    assert (row["input_tokens"], row["output_tokens"], row["issues"]) == (10, 5, ["tokens_disagree"])
