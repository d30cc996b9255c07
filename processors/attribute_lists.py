"""`attributes`: which attributes are stored in the `otel_*` tables, by name.

It comes last: everything that is made of attributes (calls, limits, what is content) has been made by then, and the
ledger is the same whatever the lists say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import polars as pl

from processors.batch import Batch
from processors.globs import fits_any
from processors.vocabulary import Vocabulary

#: The column `ServiceName` is made of it; an allow list need not name it.
_ALWAYS: Final = "service.name"
_LEFT_OUT: Final = "left out"


class AttributeLists:
    """Leaves attributes out of every level of every signal.

    Args:
        allow: names to keep, ``*`` and ``?`` standing for any text and any character; none: all.
        deny: names to leave out, even of those allowed.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"attributes.*"})
    writes: ClassVar[frozenset[str]] = frozenset({"attributes.*"})

    def __init__(self, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> None:
        allowed = fits_any(pl.col("name"), [*allow, _ALWAYS]) if allow else pl.lit(True)
        self._nothing = not (allow or deny)
        self._kinds = Vocabulary({_LEFT_OUT: ~allowed | (fits_any(pl.col("name"), deny) if deny else pl.lit(False))})

    def __call__(self, batch: Batch) -> Batch:
        """The batch without them."""
        if self._nothing:
            return batch
        names = self._kinds(batch.attributes["key"])[_LEFT_OUT]
        if not names:
            return batch
        return batch.with_frames(attributes=batch.attributes.filter(~pl.col("key").is_in(names).fill_null(False)))
