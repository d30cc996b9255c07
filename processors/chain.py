"""What a processor is, and the order in which a batch meets them: a list written by hand, never import magic.

`normalise` comes first: it reads what `content` and `redact` take away, and what it read is cleaned too. A user's own
processors stand before `content`, so that nothing they bring in escapes it. `identify` makes keys of what is left.
`sample` and `attributes` may be left out; they come early, to save work, and last, when nothing reads attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from processors.attribute_lists import AttributeLists
from processors.batch import Batch
from processors.content import ContentPolicy, ContentProcessor
from processors.content_by_caller import CallerPolicy, ContentByCaller
from processors.dialects import DIALECTS
from processors.dialects.dialect import Dialect
from processors.identify import Identify
from processors.normalise import Normalise
from processors.redact import Identity, RedactProcessor
from processors.sample import Sample


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
        callers: teams and applications with a laxer policy of their own.
        share: of the traces whose spans are no GenAI.
        allow: names of attributes to store; none: all.
        deny: names of attributes to leave out.
        dialects: tried in this order.
    """

    policy: ContentPolicy = ContentPolicy.DROP
    callers: tuple[CallerPolicy, ...] = ()
    share: float = 1.0
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    dialects: tuple[Dialect, ...] = DIALECTS
    identity: Identity = Identity.KEEP
    key: bytes = field(default=b"", repr=False)


def _content(choices: Choices) -> Processor:
    if not choices.callers:
        return ContentProcessor(choices.policy, choices.key)
    return ContentByCaller(choices.policy, choices.callers, choices.key)


#: Our own processors, in the only order they make sense in.
REGISTERED: Final[Mapping[str, Callable[[Choices], Processor]]] = MappingProxyType(
    {
        "normalise": lambda choices: Normalise(choices.dialects),
        "sample": lambda choices: Sample(choices.share),
        "content": _content,
        "redact": lambda choices: RedactProcessor(choices.identity, choices.key),
        "identify": lambda choices: Identify(),
        "attributes": lambda choices: AttributeLists(choices.allow, choices.deny),
    }
)
ORDER: Final = tuple(REGISTERED)
#: Without these nothing would be recognised, or nothing taken out.
NEEDED: Final = ("normalise", "content", "redact", "identify")


def check(names: Sequence[str]) -> None:
    """What an order of processors must keep to; names that are not ours are a user's own.

    Raises:
        ValueError: one of `NEEDED` is missing, ours are twice or in another order, or a user's is behind `content`.
    """
    ours = [name for name in names if name in REGISTERED]
    if ours != [name for name in ORDER if name in ours] or not set(NEEDED) <= set(ours):
        raise ValueError(f"the processors {', '.join(NEEDED)} must all be there once; the order is {', '.join(ORDER)}")
    if late := [name for name in names[names.index("content") :] if name not in REGISTERED]:
        raise ValueError(f"{', '.join(late)} must stand before content, which cleans what it brings in")


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
    check(names)
    return tuple(REGISTERED[name](choices) if name in REGISTERED else plugins[name] for name in names)


def run(processors: Sequence[Callable[[Batch], Batch]], batch: Batch) -> Batch:
    """The batch after all of them."""
    for processor in processors:
        batch = processor(batch)
    return batch
