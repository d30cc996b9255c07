"""`normalise`: the laws of a processor, and what is the same for every dialect."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from processors.batch import Batch, concat
from processors.contract import OBSERVATION_SCHEMA, SAID
from processors.dialects import DIALECTS
from processors.dialects.dialect import EXTRAS, Dialect
from processors.identify import with_keys
from processors.normalise import Normalise
from tests.corpus.cases import cases
from tests.unit.processors.spans import NO_USAGE, batch_of, litellm_span, normalised, observe

#: Real attribute names with stars filled in, so that dialects recognise some of the nonsense.
NAMES = sorted(
    {
        name.replace("*", "openai")
        for dialect in DIALECTS
        for name in dialect.names()
        if not name.startswith(("@", "resource:", "event")) and not name.endswith("@")
    }
)
NASTY = [
    "",
    "None",
    "{}",
    "[",
    "{'a': '\\d'}",
    "{'user_id': None}",
    '{"cache_key": "k"}',
    "1e999",
    "-5",
    "nan",
    "[1, null]",
    "{" * 300,
]
VALUES = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=30), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans()
)
SPANS = st.fixed_dictionaries(
    {
        "attributes": st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=25),
        "status": st.integers(0, 3),
        "end": st.floats(-10, 10),
    }
)
LAWS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@LAWS
@given(st.lists(SPANS, min_size=1, max_size=4))
def test_no_value_makes_it_raise(spans: list[dict[str, Any]]) -> None:
    """Any text, number or flag in any attribute a dialect reads gives observations of the agreed shape."""
    observations = normalised(batch_of(*(litellm_span(span.pop("attributes"), **span) for span in spans)))
    assert observations.schema == OBSERVATION_SCHEMA


@LAWS
@given(st.lists(SPANS, max_size=3), st.lists(SPANS, max_size=3))
def test_batches_do_not_matter(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Normalising two batches together gives the observations of each."""
    one, other = batch_of(*some), batch_of(*others)
    together = normalised(concat([one, other])).sort("observation_id")
    apart = concat([_normalise(one), _normalise(other)]).observations.sort("observation_id")
    assert_frame_equal(together, apart)


def _normalise(batch: Batch) -> Batch:
    return Normalise()(batch)


def test_twice_is_once() -> None:
    """Normalising a normalised batch changes nothing."""
    for case in cases("litellm-proxy"):
        for batch in case.batches():
            assert_frame_equal(_normalise(batch).observations, batch.observations)


def test_other_spans_are_not_calls() -> None:
    """Auth, router, health and web framework spans give no observation."""
    about = [{"service": "auth", "call_type": "/v1/chat/completions"}, {"http.route": "/health"}, {"service": "router"}]
    assert observe(*({"attributes": attributes} for attributes in about)) == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_dialects_say_known_columns(dialect: Dialect) -> None:
    """A dialect fills only columns of the contract, and derives only what it marks with ``~``."""
    assert set(dialect.said) <= {column.name for column in SAID} | set(EXTRAS)
    assert all(name.startswith("~") for name in dialect.derive)


def test_dialect_names_are_unique() -> None:
    """`sources` tells dialects apart."""
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)


@pytest.mark.parametrize(
    ("cost", "reported"),
    [
        (1.0949999999999998e-05, Decimal("0.00001095")),
        (0.1 + 0.2, Decimal("0.3")),
        ("0.25", Decimal("0.25")),
        ("nan", None),
        ("free", None),
        (1e300, None),
    ],
)
def test_reported_cost_is_exact_to_twelve_digits(cost: Any, reported: Decimal | None) -> None:
    """A double becomes the decimal that was meant; what is no sensible number of dollars is unknown."""
    (call,) = observe(litellm_span({"gen_ai.cost.total_cost": cost}))
    assert call["cost_reported_usd"] == reported


def test_a_zero_cost_of_unknown_tokens_is_unknown() -> None:
    """LiteLLM reports 0.0 dollars for a stream whose usage it never saw: nobody reported a cost."""
    zero = {"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0, "gen_ai.cost.total_cost": 0.0}
    (call,) = observe(litellm_span(zero))
    assert (call["cost_reported_usd"], call["issues"]) == (None, ["tokens_unknown"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"error.code": "429"}, "429"),
        ({"http.response.status_code": 503}, "503"),
        ({"error.code": "server_error", "error.type": "InternalServerError"}, "500"),
        ({"error.type": "openai.RateLimitError"}, "429"),
        ({"error.type": "litellm.exceptions.AuthenticationError"}, "401"),
        ({"error.type": "SomethingElse", "error.code": "7"}, None),
    ],
)
def test_error_code_is_the_http_status(error: dict[str, Any], code: str | None) -> None:
    """The status said, else the one the error's class stands for, else unknown; a class has no module path."""
    (call,) = observe(litellm_span({**NO_USAGE, "error.llm_provider": "openai", **error}, status=2))
    assert call["error_code"] == code
    assert "." not in (call["error_type"] or "")


def test_errors_belong_to_failed_calls() -> None:
    """What a successful span says of errors (an earlier attempt's class, say) is not the call's."""
    (call,) = observe(litellm_span({"error.type": "RateLimitError", "http.response.status_code": 200}))
    assert (call["status"], call["error_type"], call["error_code"]) == ("ok", None, None)


def test_absurd_counts_are_unknown() -> None:
    """A number of tokens nobody can have used must not overflow a sum."""
    (call,) = observe(litellm_span({"gen_ai.usage.input_tokens": 2**62, "gen_ai.usage.total_tokens": None}))
    assert (call["input_tokens"], call["output_tokens"]) == (None, 12)


def test_spans_without_an_id_are_told_apart_by_what_they_say() -> None:
    """Two calls whose spans carry no valid id stay two; one of them sent again stays one."""
    early, late = (litellm_span({"gen_ai.response.id": "x", "litellm.call_id": None}, id=0, start=s) for s in (0, 5))
    first, second, again = (with_keys(normalised(batch_of(span))).to_dicts()[0] for span in (early, late, early))
    assert first["observation_id"] != second["observation_id"] and not {*first["keys"]} & {*second["keys"]}
    assert (again["observation_id"], again["keys"]) == (first["observation_id"], first["keys"])
