"""The order of processors."""

from __future__ import annotations

import pytest

from processors.batch import Batch, Signal, empty
from processors.chain import ORDER, REGISTERED, Choices, build, run
from processors.content import ContentPolicy
from tests.unit.processors.planting import attribute, batch_with, places

OPENAI = "sk-" + "proj-abcDEF0123456789_-abcDEF0123"


def leak(batch: Batch) -> Batch:
    """A user's processor that brings a secret in."""
    return batch.with_frames(attributes=batch_with(attribute("note", OPENAI)).attributes)


def test_order() -> None:
    """Ours run in the order of the list, and all of them leave an empty batch empty."""
    chain = build()
    assert [type(processor) for processor in chain] == [type(REGISTERED[name](Choices())) for name in ORDER]
    assert run(chain, empty(Signal.TRACES)).attributes.is_empty()


def test_plugins_are_cleaned_up_after() -> None:
    """What a user's processor brings in is redacted like everything else."""
    chain = build(("normalise", "mine", "content", "redact", "identify"), plugins={"mine": leak})
    assert chain[1] is leak
    assert places(run(chain, batch_with(attribute("a", "b"))), OPENAI) == []


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((*ORDER, "nobody"), "nobody"),
        (("normalise", "content", "identify"), "all be there"),
        (("content", "normalise", "redact", "identify"), "the order is"),
        (("normalise", "content", "redact", "identify", "mine"), "mine must stand before content"),
    ],
)
def test_refused(names: tuple[str, ...], complaint: str) -> None:
    """A chain that would let content or a secret through is not built, and the reason is said."""
    with pytest.raises(ValueError, match=complaint):
        build(names, plugins={"mine": leak})


def test_the_key_is_not_shown() -> None:
    """The key of the hashes is in no text made of the choices."""
    assert "0123456789" not in repr(Choices(ContentPolicy.HASH, key=b"0123456789abcdef"))
