r"""What a family of secrets or personal data is: a pattern, how to find it quickly, and its own examples.

Patterns are for Rust's `regex` (linear time, no look-around, no back-reference), with ``\b`` meaning an ASCII word
boundary; those of families with a checksum are also valid for Python's `re`. Two conventions:

* what stands before the secret and must stay is the group ``pre`` (``pre2`` ...); the opening quote of a quoted
  value is one of ``q``, ``r``, ``s``; what stands behind and must stay is ``post``;
* text arrives inside JSON inside strings, so a line break may be spelled ``\n``: `ESCAPE` stands where a word
  boundary would otherwise be missed, and ``\\*`` before quotes.

To add a family: one entry in `secret_families` or `personal_families`. `tests/unit/processors/test_redact.py` runs its
examples, alone and inside JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

#: What a word boundary misses in JSON: the letter of an escaped line break stands right before the word.
ESCAPE: Final = r"\\[nrtbf]|\\u[0-9a-fA-F]{4}"
JOIN: Final = "¦"
_BEFORE: Final = ("pre", "pre2", "pre3", "pre4", "q", "r", "s")


class Reach(StrEnum):
    """Where a family is looked for."""

    EVERYWHERE = "everywhere"  # secrets: every string of every level, whatever the content policy
    METADATA = "metadata"  # everything but identity attributes and content the policy keeps
    FREE_TEXT = "free text"  # as METADATA, without technical attributes (addresses, ids, versions)


@dataclass(frozen=True)
class Family:
    """One kind of secret or personal data.

    Attributes:
        name: shown in the text that replaces it, ``[REDACTED:<name>]``.
        meaning: one line for the documents.
        pattern: what is replaced (all but the groups named above).
        reach: where it is looked for.
        literals: what a match contains, in this spelling. All families' literals are searched in a few passes.
        hint: a cheap pattern found in (or around) every match that has none of the literals.
        valid: how many leading characters of a match are the real thing (0: none), where a pattern cannot tell.
        nested: a match that is not valid may hide a valid one, so it is searched again from its second character.
        redacts: text -> what must become of it. A ``¦`` in the text is taken out before use: it keeps the made-up
            secrets of this repository from setting off other people's secret scanners.
        leaves: look-alikes that must stay as they are.
    """

    name: str
    meaning: str
    pattern: str
    reach: Reach = Reach.EVERYWHERE
    literals: tuple[str, ...] = ()
    hint: str = ""
    valid: Callable[[str], int] | None = None
    nested: bool = False
    redacts: Mapping[str, str] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """What stands in the text afterwards."""
        return f"[REDACTED:{self.name}]"

    @property
    def replacement(self) -> str:
        """The marker between the groups that stay, as Rust's `regex` writes it."""
        kept = [name for name in (*_BEFORE, "post") if f"(?P<{name}>" in self.pattern]
        before = "".join(f"${{{name}}}" for name in kept if name != "post")
        return before + self.marker + ("${post}" if "post" in kept else "")

    @property
    def examples(self) -> dict[str, str]:
        """`redacts` as it is used."""
        return {text.replace(JOIN, ""): cleaned for text, cleaned in self.redacts.items()}
