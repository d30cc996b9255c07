"""Tokens and bytes in flight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.receivers.admit import Admission, token_hash

MIB = 1 << 20


def admission(tokens: dict[str, str] | None = None) -> Admission:
    """With tokens given in clear."""
    return Admission({token_hash(token): tenant for token, tenant in (tokens or {}).items()}, MIB, MIB, 4 * MIB)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer t-acme"},
        {"authorization": "bearer   t-acme "},
        {"x-api-key": "t-acme"},
        {"authorization": "Basic eA==", "x-api-key": "t-acme"},
        {"authorization": "Bearer other", "x-api-key": "t-acme"},
        CIMultiDict({"Authorization": "BEARER t-acme"}),
    ],
)
def test_a_known_token_names_its_tenant(headers: dict[str, str]) -> None:
    """Either header will do, in any spelling of its name and scheme."""
    assert admission({"t-acme": "acme", "t-beta": "beta"}).authenticate(headers) == "acme"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "No ingest token"),
        ({"authorization": "t-acme"}, "No ingest token"),
        ({"authorization": "Basic dC1hY21l"}, "No ingest token"),
        ({"authorization": "Bearer "}, "not known here"),
        ({"authorization": "Bearer t-acme2"}, "not known here"),
        ({"x-api-key": "T-ACME"}, "not known here"),
        ({"x-api-key": "\udcff\udc80é"}, "not known here"),
    ],
)
def test_anything_else_is_unauthenticated(headers: dict[str, str], says: str) -> None:
    """Missing, other, similar and unreadable tokens are refused; the sentence says how to send one and never quotes."""
    with pytest.raises(Refused, match=says) as refusal:
        admission({"t-acme": "acme"}).authenticate(headers)
    assert refusal.value.reason is Reason.UNAUTHENTICATED
    assert "authorization: Bearer" in refusal.value.sentence
    assert "acme" not in refusal.value.sentence.lower()


def test_without_tokens_everyone_is_the_default_tenant() -> None:
    """No token configured: whatever is sent, the tenant is the default one, which can be named."""
    assert admission().authenticate({"authorization": "Bearer whatever"}) == "default"
    assert Admission({}, 1, 1, 1, "acme").authenticate({}) == "acme"


def test_tokens_are_held_hashed_only() -> None:
    """Nothing that the admission holds shows a token."""
    assert "s3cret" not in repr(vars(admission({"s3cret": "acme"})))


def test_a_bound_that_no_request_could_meet_is_a_mistake() -> None:
    """In-flight bytes must hold at least one allowed request, else it would be put off for ever."""
    with pytest.raises(ValueError, match="would never fit"):
        Admission({}, 10, 20, 19)


@given(st.lists(st.lists(st.integers(0, MIB), max_size=4), max_size=8))
def test_bytes_in_flight_are_bounded_and_given_back(requests: list[list[int]]) -> None:
    """However reservations grow, together they never pass the bound, and leaving them gives everything back."""
    door = admission()
    open_ones = [door.reserve() for _ in requests]
    for reservation, sizes in zip(open_ones, requests, strict=True):
        for size in sizes:
            before = door.in_flight
            try:
                reservation.grow(size)
            except RetryLater as later:
                assert later.reason is Reason.OVERLOADED
                assert before + size > 4 * MIB
                assert door.in_flight == before
            assert door.in_flight <= 4 * MIB
    for reservation in open_ones:
        with reservation:
            pass
    assert door.in_flight == 0


def test_another_listener_has_other_tokens_and_the_same_bounds() -> None:
    """Bytes in flight at one listener leave as much less room at the other; its tokens are its own, and it has some."""
    door = Admission({}, 10, 10, 10)
    other = door.closed_to_all_but({token_hash("ours"): "tenant"})
    assert door.authenticate({}) == "default"
    assert other.authenticate({"authorization": "Bearer ours"}) == "tenant"
    with pytest.raises(Refused):
        other.authenticate({})
    with other.reserve() as room:
        room.grow(8)
        assert door.in_flight == 8
        with pytest.raises(RetryLater):
            door.room_for(3)
    assert door.in_flight == 0
    with pytest.raises(ValueError, match="open to all"):
        door.closed_to_all_but({})
