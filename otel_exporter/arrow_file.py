"""How a table becomes bytes on disk: the one place, because what must not be stored could hide in the format."""

from __future__ import annotations

from typing import IO, Final

import polars as pl

#: Texts lie end to end. Polars' own layout (string views) writes whole buffers, and with them texts that no row refers
#: to any more: the very ones that redaction replaced and the content policy removed.
_ONLY_WHAT_ROWS_HOLD: Final = pl.CompatLevel.oldest()


def write(rows: pl.DataFrame, file: IO[bytes]) -> None:
    """Write ``rows`` as an Arrow IPC file at the position of ``file``: their values, and nothing else of memory.

    Raises:
        OSError: the disk refuses.
    """
    rows.write_ipc(file, compression="lz4", compat_level=_ONLY_WHAT_ROWS_HOLD)
