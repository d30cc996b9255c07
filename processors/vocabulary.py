"""Sort attribute names into kinds, and remember the ones seen: a few hundred names make up nearly all traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

#: Bounds on what is remembered: names, and characters of one name.
REMEMBERED: Final = 10_000
LONGEST: Final = 256


class Vocabulary:
    """Kinds of names: ``kinds`` maps each kind to its condition over the column ``name``; the first that applies wins.

    What is remembered follows from the name alone, so that nobody can tell it from computing anew.
    """

    def __init__(self, kinds: Mapping[str, pl.Expr]) -> None:
        conditions = [pl.when(condition).then(pl.lit(kind)) for kind, condition in kinds.items()]
        self._kind = pl.coalesce(*conditions, pl.lit("")).alias("kind")
        self._kinds = tuple(kinds)
        self._seen: dict[str, str] = {}

    def __call__(self, names: pl.Series) -> dict[str, list[str]]:
        """The distinct ``names`` of each kind; those of no kind are left out."""
        distinct = names.drop_nulls().unique().to_list()
        known = self._seen
        if news := [name for name in distinct if name not in known]:
            known = self._learned(news)
        by_kind: dict[str, list[str]] = {kind: [] for kind in self._kinds}
        for name in distinct:
            if kind := known[name]:
                by_kind[kind].append(name)
        return by_kind

    def _learned(self, names: list[str]) -> dict[str, str]:
        frame = pl.DataFrame({"name": names}, schema={"name": pl.String})
        learned = dict(frame.select("name", self._kind).iter_rows())
        short = {name: kind for name, kind in learned.items() if len(name) <= LONGEST}
        if len(self._seen) + len(short) <= REMEMBERED:
            self._seen = {**self._seen, **short}
        return {**self._seen, **learned}
