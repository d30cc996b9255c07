"""What a processor is, and the order in which a batch meets them: a list written by hand, never import magic.

`normalise` comes first: it reads what `content` and `redact` take away, and what it read is cleaned too. A user's own
processors stand before `content`, so that nothing they bring in escapes it. `identify` comes last: it makes keys of
what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from processors.batch import Batch
from processors.content import ContentPolicy, ContentProcessor
from processors.identify import Identify
from processors.normalise import Normalise
from processors.redact import Identity, RedactProcessor


@runtime_checkable
class Processor(Protocol):
    """A batch in, a batch out, configured once in `__init__`.

    Its laws, which `tests/laws` checks for every one that is registered here:

    * pure: no clock, socket, file, environment or global;
    * batch-blind: ``f(a + b) == f(a) + f(b)``;
    * idempotent: ``f(f(a)) == f(a)``;
    * total: no value makes it raise;
    * honest: what it does depends on what it `reads` only, and nothing changes but what it `writes`. Both hold names
      like ``attributes.value``, or ``attributes.*`` for a frame whose rows may come and go.
    """

    @property
    def reads(self) -> frozenset[str]:
        """Columns its result depends on."""

    @property
    def writes(self) -> frozenset[str]:
        """Columns that may differ afterwards."""

    def __call__(self, batch: Batch, /) -> Batch:
        """The batch, processed."""


@dataclass(frozen=True)
class Choices:
    """What a user may choose about our own processors.

    Attributes:
        policy: what becomes of content.
        identity: what becomes of attributes and columns that name people.
        key: the installation's secret, needed where either of them is `hash`.
    """

    policy: ContentPolicy = ContentPolicy.DROP
    identity: Identity = Identity.KEEP
    key: bytes = field(default=b"", repr=False)


#: Our own processors, in the only order they make sense in.
REGISTERED: Final[Mapping[str, Callable[[Choices], Processor]]] = MappingProxyType(
    {
        "normalise": lambda choices: Normalise(),
        "content": lambda choices: ContentProcessor(choices.policy, choices.key),
        "redact": lambda choices: RedactProcessor(choices.identity, choices.key),
        "identify": lambda choices: Identify(),
    }
)
ORDER: Final = tuple(REGISTERED)


def build(
    names: Sequence[str] = ORDER,
    choices: Choices = Choices(),
    plugins: Mapping[str, Callable[[Batch], Batch]] = MappingProxyType({}),
) -> tuple[Callable[[Batch], Batch], ...]:
    """The processors of ``names``, in that order; a name that is not ours is looked up in ``plugins``.

    Raises:
        ValueError: a name nobody knows, ours missing or in another order, a plug-in behind `content`, or a `hash`
            without a key. The text says which.
    """
    if unknown := [name for name in names if name not in REGISTERED and name not in plugins]:
        raise ValueError(f"no processor is called {', '.join(unknown)}")
    if tuple(name for name in names if name in REGISTERED) != ORDER:
        raise ValueError(f"the processors {', '.join(ORDER)} must all be there once, in this order")
    if late := [name for name in names[names.index("content") :] if name not in REGISTERED]:
        raise ValueError(f"{', '.join(late)} must stand before content, which cleans what it brings in")
    return tuple(REGISTERED[name](choices) if name in REGISTERED else plugins[name] for name in names)


def run(processors: Sequence[Callable[[Batch], Batch]], batch: Batch) -> Batch:
    """The batch after all of them."""
    for processor in processors:
        batch = processor(batch)
    return batch
