r"""Find and replace families of secrets in columns of text, at the cost of a scan when there is nothing to find.

Most text holds no secret, so the work is arranged to learn that quickly. All texts are joined to a few long ones (a
search costs nothing per row then); a few passes look for every literal that secrets start with; only families whose
literal occurs are looked for with their own pattern; only families found touch the rows. Measured on 2 KB texts: 2 to
10 GB/s for a pass, where one alternation of all patterns gets 0.6 GB/s.

The joint is a NUL, which is no word character and no part of any literal: whatever a pattern finds in a row it also
finds in the joined text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import polars as pl

from processors.families import Family

_JOINT: Final = "\x00"
#: How often a text that changed is looked at again; two have always been enough.
_ROUNDS: Final = 5
#: So many literals one vectorised pass takes; more make it ten times slower. One of two or three characters makes it
#: as slow for all others in it: those have passes of their own (measured: 5 GB/s instead of 0.25).
_TOGETHER: Final = 64
_LONG: Final = 4


class Scrubber:
    """Looks for some families and replaces what they match by ``[REDACTED:<family>]``.

    Args:
        families: in the order in which they are replaced.
        again: looks at the texts that changed, since a marker is a boundary that was not there before; default: itself.
    """

    def __init__(self, families: Sequence[Family], again: Scrubber | None = None) -> None:
        self._families = tuple(families)
        self._again = again or self
        self._passes = [_Pass(portion) for portion in _portions(families)]

    def found(self, columns: Iterable[pl.Series]) -> tuple[Family, ...]:
        """The families that occur somewhere in ``columns``, in the order given to the constructor."""
        texts = pl.concat([pl.Series([""]), *(column.rename("") for column in columns)]).str.join(_JOINT)
        likely = {family.name for one in self._passes for family in one.likely(texts)}
        likely |= {family.name for family in self._families if family.hint and _occurs(texts, rust(family.hint))}
        return tuple(
            family for family in self._families if family.name in likely and _occurs(texts, rust(family.pattern))
        )

    def occurs(self, column: str) -> pl.Expr:
        """True where a text of ``column`` holds any of the families; slow, for few texts."""
        return pl.any_horizontal(pl.col(column).str.contains(rust(family.pattern)) for family in self._families)

    def __call__(self, texts: pl.Series, families: Sequence[Family] | None = None) -> pl.Series:
        """``texts`` without the ``families`` (default: those found in it); the same object when nothing is found."""
        return self._scrubbed(texts, self.found([texts]) if families is None else families, rounds=_ROUNDS)

    def _scrubbed(self, texts: pl.Series, families: Sequence[Family], rounds: int) -> pl.Series:
        after = texts
        for family in families:
            after = _replaced(after, family)
        changed = after.ne_missing(texts)
        if not rounds or not changed.any():
            return after if changed.any() else texts
        again, open_ = self._again, after.filter(changed)
        settled = again._scrubbed(open_, again.found([open_]), rounds - 1)
        return after if settled is open_ else after.clone().scatter(changed.arg_true(), settled)


class _Pass:
    """Some literals of some families, looked for in one pass."""

    def __init__(self, wanted: Sequence[tuple[Family, str]]) -> None:
        self._wanted = wanted
        self._literals = _shortest(literal for _, literal in wanted)
        self._pattern = "|".join(map(re.escape, self._literals))

    def likely(self, texts: pl.Series) -> list[Family]:
        """The families of which a literal occurs."""
        if not _occurs(texts, self._pattern):
            return []
        seen = set(texts.str.extract_all(self._pattern).explode().drop_nulls().unique())
        hidden = {one for one in self._literals if any(_overlap(other, one) for other in seen)}
        return [family for family, literal in self._wanted if any(one in literal for one in seen | hidden)]


def _overlap(first: str, second: str) -> bool:
    """Whether a match of ``first`` can hide one of ``second`` that starts inside it."""
    return any(first.endswith(second[:length]) for length in range(1, min(len(first), len(second))))


def _shortest(literals: Iterable[str]) -> list[str]:
    """Without those that contain another one."""
    distinct = set(literals)
    return sorted(one for one in distinct if not any(other in one for other in distinct - {one}))


def _portions(families: Sequence[Family]) -> list[list[tuple[Family, str]]]:
    """What goes into one pass: literals of about one length, each with its family."""
    literals = [(family, literal) for family in families for literal in family.literals]
    portions: list[list[tuple[Family, str]]] = []
    for family, literal in sorted(literals, key=lambda one: min(len(one[1]), _LONG)):
        last = portions[-1] if portions else []
        alike = bool(last) and min(len(last[-1][1]), _LONG) == min(len(literal), _LONG)
        if alike and len(_shortest([literal, *(other for _, other in last)])) <= _TOGETHER:
            last.append((family, literal))
        else:
            portions.append([(family, literal)])
    return portions


def rust(pattern: str) -> str:
    """The pattern for Rust's `regex`: an ASCII word boundary there keeps the fast engines in use on any text."""
    return pattern.replace(r"\b", r"(?-u:\b)")


def _occurs(texts: pl.Series, pattern: str) -> bool:
    return bool(texts.str.contains(pattern).any())


def _replaced(texts: pl.Series, family: Family) -> pl.Series:
    if family.valid is None:
        return texts.str.replace_all(rust(family.pattern), family.replacement)
    return _checked(texts, family)


def _checked(texts: pl.Series, family: Family) -> pl.Series:
    """Replace the matches that pass the family's check, in a loop over the distinct texts that hold any."""
    held = texts.filter(texts.str.contains(rust(family.pattern)).fill_null(False)).unique()
    matches = held.str.extract_all(rust(family.pattern))
    real = {match for match in matches.explode().unique() if family.nested or rewritten(match, family) != match}
    changed = {
        text: rewritten(text, family) for text, own in zip(held, matches, strict=True) if not real.isdisjoint(own)
    }
    return texts.replace(changed) if changed else texts


def rewritten(text: str, family: Family) -> str:
    """One text with the valid matches of a checked family replaced."""
    assert family.valid is not None
    pattern, parts, copied, position = re.compile(family.pattern, re.ASCII), [], 0, 0
    while match := pattern.search(text, position):
        start = match.start() + len(match.groupdict().get("pre") or "")
        if length := family.valid(text[start : match.end()]):
            parts += [text[copied:start], family.marker]
            copied = position = start + length
        else:
            position = match.start() + 1 if family.nested else match.end()
    return "".join(parts) + text[copied:]


def in_bytes(scrub: Callable[[pl.Series], pl.Series]) -> Callable[[pl.Series], pl.Series]:
    """``scrub`` for base64 texts: every byte is read as one character, so that nothing is lost on the way back."""

    def scrub_bytes(encoded: pl.Series) -> pl.Series:
        distinct = {text: _decoded(text) for text in encoded.drop_nulls().unique()}
        plain = pl.Series([text for text in distinct.values() if text is not None], dtype=pl.String)
        clean = dict(zip(plain, scrub(plain), strict=True))
        changed = {
            text: base64.b64encode(clean[raw].encode("latin-1")).decode()
            for text, raw in distinct.items()
            if raw is not None and clean[raw] != raw
        }
        return encoded.replace(changed) if changed else encoded

    return scrub_bytes


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode("latin-1")
    except ValueError:  # not base64, so it was looked at as the text it is
        return None
